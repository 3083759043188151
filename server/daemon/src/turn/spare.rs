//! The claim of a spare's process for a turn. What comes of it is seen by nobody: a process that cannot be claimed is
//! followed by one that is started as any other, and that is no attempt of the turn.

use claude_comms_supervisor::Stop;
use tracing::Instrument as _;

use super::drive::Drive;
use crate::{backend::Unclaimed, condition::start_cause, dispatcher::Claim, live::wanted, telemetry::trace};

impl Drive<'_> {
    /// If the lease holds a process that nobody has claimed, makes it this conversation's, or ends it.
    pub(super) async fn claim_spare(&mut self) {
        let Some(parked) = self.lease.running.take_if(|running| running.parked.is_some()) else { return };
        // Read afresh, as for every start: a turn before this one may have begun what there is to remember.
        if let Ok(Some(now)) = self.task.store.conversation(self.conversation.id).await {
            self.conversation = now;
        }
        let process = std::sync::Arc::clone(&parked.process);
        let claiming = self.task.backend.claim(parked, &self.conversation);
        let mut endings = self.task.live.endings();
        let claimed = tokio::select! {
            claimed = claiming.instrument(trace::start_process(self.turn.attempt)) => Some(claimed),
            // The start that follows ends the turn.
            _ = wanted(&mut endings, false) => None,
            () = tokio::time::sleep_until(self.deadline) => None,
        };
        let outcome = match claimed {
            Some(Ok(running)) => {
                self.lease.running = Some(running);
                Claim::Worked
            }
            Some(Err(Unclaimed::Failed(error))) => {
                // What it said may quote the system prompt.
                tracing::warn!(cause = start_cause(&error), turn.id = %self.turn.id, "spare could not be claimed");
                Claim::Unanswered
            }
            Some(Err(error @ (Unclaimed::Outdated | Unclaimed::Unfit))) => {
                tracing::debug!(%error, turn.id = %self.turn.id, "spare is of no use to the turn");
                Claim::Refused
            }
            // It says nothing of the spare that nobody waited for it. It goes before its instance's directory does.
            None => {
                process.stop(Stop::Now).await;
                return;
            }
        };
        self.lease.claimed(outcome).await;
    }
}
