//! Pause, resume and interrupt, as the dispatcher's task carries them out.

use claude_comms_model::{CancelReason, InstanceId, InstanceState};

use super::{Command, InstanceView, Refused, cancelled, command::Reply, task::DispatcherTask};
use crate::pool::Settle;

/// Who waits for what was asked of instances.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// For a pause to begin or to end.
    pausing: Vec<(InstanceId, Reply<InstanceView>)>,
    /// For the end of the running turn.
    interrupting: Vec<(InstanceId, Reply<InstanceView>)>,
}

impl DispatcherTask {
    pub(super) fn pause_instance(&mut self, id: InstanceId, reply: Reply<InstanceView>) {
        if let Some(reply) = self.controllable(id, reply) {
            self.pool.pause(id);
            self.waiting.pausing.push((id, reply));
            self.settle_pause(id);
        }
    }

    pub(super) fn resume_instance(&mut self, id: InstanceId, reply: Reply<InstanceView>) {
        if let Some(reply) = self.controllable(id, reply) {
            self.pool.resume(id);
            self.waiting.pausing.push((id, reply));
            self.settle_pause(id);
        }
    }

    /// Refuses where the instance can be neither paused nor resumed.
    fn controllable(&self, id: InstanceId, reply: Reply<InstanceView>) -> Option<Reply<InstanceView>> {
        let refused = match self.view(id) {
            Err(refused) => refused,
            Ok(view) if matches!(view.state, InstanceState::Stopping | InstanceState::Stopped) => {
                Refused::InstanceEnded(id)
            }
            Ok(view) if view.spare => Refused::InstanceIsSpare(id),
            // Its process ends with the server, and a pause does not outlive that.
            Ok(_) if self.is_draining() => Refused::Draining,
            Ok(_) => return Some(reply),
        };
        let _ = reply.send(Err(refused));
        None
    }

    /// Brings a paused instance's process where it shall be, and answers once it is there.
    pub(super) fn settle_pause(&mut self, id: InstanceId) {
        match self.pool.settle_pause(id) {
            Settle::Tell(running, freeze) => {
                let Some(commands) = self.commands() else { return };
                self.tracker.spawn(async move {
                    let process = &running.process;
                    let told = if freeze { process.pause().await } else { process.resume().await };
                    if let Err(error) = told {
                        // Its end, which is told by itself, says more.
                        tracing::info!(%error, instance.id = %id, freeze, "process was not told of a pause");
                    }
                    drop(running);
                    let _ = commands.send(Command::ProcessTold(id, freeze)).await;
                });
            }
            Settle::Wait => {}
            Settle::Done => self.answer_pauses(id),
        }
    }

    pub(super) fn process_told(&mut self, id: InstanceId, froze: bool) {
        self.pool.told(id, froze);
        self.settle_pause(id);
    }

    /// Tells who waits for a pause how the instance is now.
    pub(super) fn answer_pauses(&mut self, id: InstanceId) {
        answer(self, |waiting| &mut waiting.pausing, id);
    }

    /// Tells who waits for a pause that the instance, or the server, ends instead.
    pub(super) fn refuse_pauses(&mut self, id: InstanceId) {
        let draining = self.is_draining();
        for (_, reply) in self.waiting.pausing.extract_if(.., |(of, _)| *of == id) {
            let _ = reply.send(Err(if draining { Refused::Draining } else { Refused::InstanceEnded(id) }));
        }
    }

    pub(super) fn interrupt_instance(&mut self, id: InstanceId, reply: Reply<InstanceView>) {
        let refused = match self.view(id) {
            Err(refused) => refused,
            Ok(view) if view.state == InstanceState::Stopped => Refused::InstanceEnded(id),
            Ok(view) if self.runs_turn(id) => {
                tracing::info!(instance.id = %id, state = view.state.as_str(), "turn interrupted");
                self.cancel_turn_of(
                    id,
                    cancelled(CancelReason::InstanceInterrupted, "its instance was interrupted"),
                );
                return self.waiting.interrupting.push((id, reply));
            }
            Ok(view) if view.state == InstanceState::Stopping => Refused::InstanceEnded(id),
            Ok(_) => Refused::InstanceNotBusy(id),
        };
        let _ = reply.send(Err(refused));
    }

    /// Whether a turn holds the instance. One whose lease came back is over, also while its task is about to say so.
    fn runs_turn(&self, id: InstanceId) -> bool {
        let held = self.pool.get(id).is_some_and(|entry| {
            matches!(entry.state, InstanceState::Starting | InstanceState::Busy | InstanceState::Stopping)
                && !entry.ending
        });
        held && self.lines.slots.values().any(|slot| slot.instance == Some(id))
    }

    /// A turn's lease came back: the turn's end is durable.
    pub(super) fn answer_interrupts(&mut self, id: InstanceId) {
        answer(self, |waiting| &mut waiting.interrupting, id);
    }
}

fn answer(
    task: &mut DispatcherTask,
    list: impl FnOnce(&mut Waiting) -> &mut Vec<(InstanceId, Reply<InstanceView>)>,
    id: InstanceId,
) {
    let answered: Vec<_> = list(&mut task.waiting).extract_if(.., |(of, _)| *of == id).collect();
    for (_, reply) in answered {
        let _ = reply.send(task.view(id));
    }
}
