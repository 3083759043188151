//! The end of everything, in order: no new turns, running ones may end, then processes go. Turns that wait stay queued in
//! the store.

use std::time::Duration;

use claude_comms_model::CancelReason;
use tokio::sync::oneshot;

use super::{Command, Refused, cancelled, lines::Lines, task::DispatcherTask};

impl DispatcherTask {
    /// Begins to drain, or gives what still runs another limit: the shortest counts.
    pub(super) fn drain(&mut self, grace: Duration, reply: oneshot::Sender<()>) {
        self.later(grace, Command::DrainGraceOver);
        if let Some(waiting) = &mut self.draining {
            return waiting.push(reply);
        }
        self.draining = Some(vec![reply]);
        self.condition.let_go().cancel();
        for slot in self.lines.slots.values().filter(|slot| slot.grant.is_some()) {
            slot.live.detach("the server is shutting down; the turn stays queued and runs after its restart");
        }
        let spares: Vec<_> = self.pool.staying_spares().map(|entry| entry.record.id).collect();
        spares.into_iter().for_each(|id| self.begin_stop(id));
        for starting in std::mem::take(&mut self.starting) {
            starting.refuse(Refused::Draining);
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// The running turns have had their time.
    pub(super) fn cancel_all(&mut self) {
        self.launches.cancel();
        for slot in self.lines.slots.values().filter(|slot| slot.grant.is_none()) {
            slot.live.request_cancel(cancelled(CancelReason::ServerShutdown, "the server was shut down"));
        }
    }

    /// Once nothing runs any more, ends the processes; once those are gone, says so.
    pub(super) fn finish_drain(&mut self) {
        if self.draining.is_none() || self.lines.running() > 0 {
            return;
        }
        self.stop_processes();
        if self.pool.iter().all(|entry| !entry.state.has_process())
            && let Some(waiting) = &mut self.draining
        {
            // Waiting turns' tasks end with the task that holds their grants.
            self.lines = Lines::default();
            for reply in waiting.drain(..) {
                let _ = reply.send(());
            }
        }
    }
}
