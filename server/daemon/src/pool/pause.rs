//! Pauses: what was asked for, what the process was told, and the next step between the two. Pure bookkeeping, as the pool.

use claude_comms_model::{InstanceId, InstanceState, instance::InstanceEvent};

use super::Pool;
use crate::backend::Running;

/// The pause of an instance: what was asked for, and what its process knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pause {
    /// It pauses once its turn has ended or its process is ready.
    pub pending: bool,
    /// It is paused and goes on as soon as its process does.
    pub resuming: bool,
    /// Its process is being told.
    telling: bool,
    /// Its process was told to stop, and not to go on since.
    frozen: bool,
}

/// What is to be done for a paused instance.
#[derive(Debug)]
pub(crate) enum Settle {
    /// Tell its process to stop, or to go on.
    Tell(Running, bool),
    /// Its process is being told: look again after that.
    Wait,
    /// It is paused, or goes on: all is as it was asked for.
    Done,
}

/// What [`Pause::step`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Tell { freeze: bool },
    Wait,
    GoOn,
    Done,
}

impl Pause {
    /// The next step of a pause that has begun. A process is told one thing at a time: it must not meet them out of order.
    fn step(&mut self, has_process: bool) -> Step {
        if self.telling {
            return Step::Wait;
        }
        let freeze = !self.resuming;
        if has_process && self.frozen != freeze {
            self.telling = true;
            return Step::Tell { freeze };
        }
        if self.resuming {
            *self = Self::default();
            return Step::GoOn;
        }
        Step::Done
    }

    fn told(&mut self, froze: bool) {
        self.telling = false;
        self.frozen = froze;
    }
}

impl Pool {
    /// Pauses an instance: at once if nothing holds it, else when it comes back.
    pub(crate) fn pause(&mut self, id: InstanceId) {
        let Some(entry) = self.get_mut(id) else { return };
        match entry.state {
            InstanceState::Idle | InstanceState::Dormant | InstanceState::Paused => {
                entry.pause.pending = false;
                entry.pause.resuming = false;
                self.apply(id, InstanceEvent::Pause);
            }
            InstanceState::Starting | InstanceState::Busy => {
                entry.pause.pending = true;
                self.note(id);
            }
            InstanceState::Stopping | InstanceState::Stopped => {}
        }
    }

    /// Carries out a pause that waited for this moment.
    pub(crate) fn pause_if_pending(&mut self, id: InstanceId) {
        if self.entries.get(&id).is_some_and(|entry| entry.pause.pending) {
            self.pause(id);
        }
    }

    /// Takes a pause back. One that has begun ends with [`Self::settle_pause`].
    pub(crate) fn resume(&mut self, id: InstanceId) {
        let Some(entry) = self.get_mut(id) else { return };
        entry.pause.pending = false;
        entry.pause.resuming = entry.state == InstanceState::Paused;
        self.note(id);
    }

    /// The next step towards what was asked for last.
    pub(crate) fn settle_pause(&mut self, id: InstanceId) -> Settle {
        let Some(entry) = self.entries.get_mut(&id) else { return Settle::Done };
        if entry.state != InstanceState::Paused {
            return Settle::Done;
        }
        match (entry.pause.step(entry.idle.is_some()), &entry.idle) {
            (Step::Tell { freeze }, Some(running)) => Settle::Tell(running.clone(), freeze),
            (Step::GoOn, idle) => {
                let has_process = idle.is_some();
                let event = if has_process { InstanceEvent::Resume } else { InstanceEvent::ResumeDormant };
                self.apply(id, event);
                Settle::Done
            }
            (Step::Wait, _) => Settle::Wait,
            (Step::Done | Step::Tell { .. }, _) => Settle::Done,
        }
    }

    /// The process of a paused instance was told. Its death is another matter.
    pub(crate) fn told(&mut self, id: InstanceId, froze: bool) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.pause.told(froze);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_told_one_thing_at_a_time_and_the_last_wish_wins() {
        // Every order of eight wishes and answers; the process is what it was told last.
        for bits in 0..256_u32 {
            let (mut pause, mut told, mut underway) = (Pause::default(), false, None);
            let mut paused = true;
            for step in 0..8 {
                if bits & (1 << step) == 0 {
                    paused = !paused;
                    pause.resuming = !paused;
                } else if let Some(freeze) = underway.take() {
                    told = freeze;
                    pause.told(freeze);
                }
                match pause.step(true) {
                    Step::Tell { freeze } => assert_eq!(underway.replace(freeze), None, "two at once"),
                    Step::Wait => assert!(underway.is_some()),
                    Step::Done => assert_eq!((paused, told), (true, true)),
                    Step::GoOn => {
                        assert_eq!((paused, told), (false, false), "it goes on only when its process does");
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn without_a_process_nobody_is_told() {
        let mut pause = Pause::default();
        assert_eq!(pause.step(false), Step::Done);
        pause.resuming = true;
        assert_eq!(pause.step(false), Step::GoOn);
        assert_eq!(pause, Pause::default());
    }

    #[test]
    fn a_process_that_dies_while_it_is_told_ends_nothing_but_the_telling() {
        let mut pause = Pause::default();
        assert_eq!(pause.step(true), Step::Tell { freeze: true });
        assert_eq!(pause.step(false), Step::Wait);
        pause.told(true);
        assert_eq!(pause.step(false), Step::Done);
        pause.resuming = true;
        assert_eq!(pause.step(false), Step::GoOn);
    }
}
