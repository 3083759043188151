//! The state machine of one process. Pure: time, pipes and children are the task's.

use uuid::Uuid;

use crate::ExitInfo;

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// Spawned, and nothing was written to it.
    Parked,
    /// Spawned, `initialize` not yet answered.
    Starting,
    /// Ready for a user message.
    Idle,
    /// Working on the user message with this uuid.
    Busy {
        /// The user message.
        turn: Uuid,
    },
    /// As `Busy`, and told to stop the turn.
    Interrupting {
        /// The user message.
        turn: Uuid,
    },
    /// Idle and stopped with SIGSTOP.
    Paused,
    /// Told to end, or seen to break the protocol; a last turn may still run.
    Stopping,
    /// Gone and waited for. Terminal.
    Exited(ExitInfo),
}

/// What happens to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// `initialize` was written to a parked process.
    Claimed,
    /// `initialize` was answered.
    Initialized,
    /// A user message was accepted.
    Sent(Uuid),
    /// The running turn was told to stop.
    InterruptSent,
    /// The running turn's own result was read.
    TurnEnded,
    /// SIGSTOP was ordered.
    PauseSent,
    /// SIGCONT was ordered.
    ResumeSent,
    /// The stop ladder was begun.
    StopBegun,
    /// The reaper was waited for.
    Exited(ExitInfo),
}

/// An event that cannot happen in that state: a bug, ours or the CLI's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event:?} cannot happen to a process in state {state:?}")]
pub struct IllegalTransition {
    /// The state it was in, and stays in.
    pub state: ProcessState,
    /// What was said to have happened.
    pub event: ProcessEvent,
}

impl ProcessState {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] if there is none.
    pub fn next(self, event: ProcessEvent) -> Result<Self, IllegalTransition> {
        use ProcessEvent as E;
        use ProcessState as S;
        Ok(match (self, event) {
            (state @ S::Exited(_), event) => return Err(IllegalTransition { state, event }),
            (_, E::Exited(info)) => S::Exited(info),
            (_, E::StopBegun) => S::Stopping,
            // A turn may end, or a process come up, after it was told to stop.
            (S::Stopping, E::TurnEnded | E::Initialized) => S::Stopping,
            (S::Parked, E::Claimed) => S::Starting,
            (S::Starting, E::Initialized) => S::Idle,
            (S::Idle, E::Sent(turn)) => S::Busy { turn },
            (S::Busy { turn } | S::Interrupting { turn }, E::InterruptSent) => S::Interrupting { turn },
            (S::Busy { .. } | S::Interrupting { .. }, E::TurnEnded) => S::Idle,
            (S::Idle | S::Paused, E::PauseSent) => S::Paused,
            (S::Idle | S::Paused, E::ResumeSent) => S::Idle,
            (state, event) => return Err(IllegalTransition { state, event }),
        })
    }

    /// Whether a user message would be accepted.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// How it ended, once it has.
    pub fn exit(&self) -> Option<&ExitInfo> {
        match self {
            Self::Exited(info) => Some(info),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCause;

    fn exit() -> ExitInfo {
        ExitInfo { code: Some(0), cause: ExitCause::Stopped, stderr: String::new() }
    }

    fn states() -> [ProcessState; 8] {
        let turn = Uuid::nil();
        [
            ProcessState::Parked,
            ProcessState::Starting,
            ProcessState::Idle,
            ProcessState::Busy { turn },
            ProcessState::Interrupting { turn },
            ProcessState::Paused,
            ProcessState::Stopping,
            ProcessState::Exited(exit()),
        ]
    }

    fn events() -> [ProcessEvent; 9] {
        [
            ProcessEvent::Claimed,
            ProcessEvent::Initialized,
            ProcessEvent::Sent(Uuid::nil()),
            ProcessEvent::InterruptSent,
            ProcessEvent::TurnEnded,
            ProcessEvent::PauseSent,
            ProcessEvent::ResumeSent,
            ProcessEvent::StopBegun,
            ProcessEvent::Exited(exit()),
        ]
    }

    #[test]
    fn exited_is_terminal_and_every_other_state_reaches_it() {
        for state in states() {
            let ended = state.clone().next(ProcessEvent::Exited(exit()));
            assert_eq!(ended.is_ok(), state.exit().is_none(), "{state:?}");
        }
        for event in events() {
            assert!(ProcessState::Exited(exit()).next(event).is_err());
        }
    }

    #[test]
    fn a_stopping_process_never_takes_another_turn() {
        for event in events() {
            if let Ok(state) = ProcessState::Stopping.next(event.clone()) {
                assert!(
                    matches!(state, ProcessState::Stopping | ProcessState::Exited(_)),
                    "{event:?} -> {state:?}"
                );
            }
        }
    }

    #[test]
    fn only_an_idle_process_is_sent_to_or_paused() {
        for state in states() {
            assert_eq!(
                state.clone().next(ProcessEvent::Sent(Uuid::nil())).is_ok(),
                state.is_idle(),
                "{state:?}"
            );
            let may_pause = matches!(state, ProcessState::Idle | ProcessState::Paused);
            assert_eq!(state.clone().next(ProcessEvent::PauseSent).is_ok(), may_pause, "{state:?}");
        }
    }
}
