//! The claim of a spare's process for a turn. What comes of it is seen by nobody: a process that cannot be claimed is
//! followed by one that is started as any other, and that is no attempt of the turn.

use claude_comms_model::Conversation;
use tracing::Instrument as _;

use super::drive::Drive;
use crate::{
    backend::{Running, Unclaimed, chain},
    live::wanted,
    telemetry::trace,
};

impl Drive<'_> {
    /// If the lease holds a process that nobody has claimed, makes it this conversation's, or ends it.
    pub(super) async fn claim_spare(&mut self) {
        let Some(parked) = self.lease.running.take_if(|running| running.parked.is_some()) else { return };
        // Read afresh, as for every start: a turn before this one may have begun what there is to remember.
        if let Ok(Some(now)) = self.task.store.conversation(self.conversation.id).await {
            self.conversation = now;
        }
        self.lease.running = self.claimed(parked).await;
        self.lease.claimed(self.lease.running.is_some()).await;
    }

    async fn claimed(&self, parked: Running) -> Option<Running> {
        let conversation: &Conversation = &self.conversation;
        let claiming = self.task.backend.claim(parked, conversation);
        let mut endings = self.task.live.endings();
        let claimed = tokio::select! {
            claimed = claiming.instrument(trace::start_process(self.turn.attempt)) => claimed,
            // Its process goes with the claim; the start that follows ends the turn.
            _ = wanted(&mut endings, false) => return None,
            () = tokio::time::sleep_until(self.deadline) => return None,
        };
        match claimed {
            Ok(running) => Some(running),
            Err(error @ Unclaimed::Failed(_)) => {
                tracing::warn!(error = chain(&error), turn.id = %self.turn.id, "spare could not be claimed");
                None
            }
            Err(error) => {
                tracing::debug!(%error, turn.id = %self.turn.id, "spare is of no use to the turn");
                None
            }
        }
    }
}
