//! The judgement of an answer, and the one message that asks for a better one inside the same turn.

use claude_comms_store::Lease as Claim;
use claude_comms_stream_json::turn::{Outcome, TurnEnd};
use claude_comms_supervisor::Stop;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    answer::{Demand, Verdict},
    drive::{Attempt, Drive},
    end::Said,
};
use crate::telemetry::trace;

impl Drive<'_> {
    /// What an attempt comes to once its answer was judged. Data that does not fit is asked for once more; whoever wanted
    /// the turn's end gets it then, but for an answer that was complete before.
    pub(super) async fn judged(&mut self, attempt: Attempt, claim: Claim) -> Attempt {
        let (end, said) = match attempt {
            Attempt::Ended(end, said) => (end, said),
            other => return other,
        };
        let message = match (self.verdict(&end), said) {
            (None, said) => return Attempt::Ended(end, said),
            (Some(Verdict::Final(transition)), _) => return Attempt::Ended(end, Said::Judged(transition)),
            // Its process is gone: the answer was read from what it left behind.
            (Some(Verdict::Repairable { otherwise, .. }), Said::Nothing | Said::Judged(_))
                if self.lease.running.is_none() =>
            {
                return Attempt::Ended(end, Said::Judged(otherwise));
            }
            // Nobody waits for a better answer any more.
            (Some(Verdict::Repairable { .. }), Said::Asked(end_of_it)) => {
                return Attempt::Ended(end, Said::Judged(end_of_it));
            }
            (Some(Verdict::Repairable { message, otherwise }), Said::Nothing | Said::Judged(_)) => {
                if let Some(exceeded) = self.account.exceeded() {
                    let failed = otherwise.failed_for(exceeded.failure());
                    return Attempt::Ended(end, Said::Judged(failed));
                }
                message
            }
        };
        tracing::info!(turn.id = %self.turn.id, "data does not fit; asking once more");
        let (end, said) = match self.repair(&end, message, claim).await {
            Attempt::Ended(end, said) => (end, said),
            other => return other,
        };
        let said = match (self.verdict(&end), said) {
            (None, said) => said,
            (Some(Verdict::Final(transition)), _) => Said::Judged(transition),
            (Some(Verdict::Repairable { .. }), Said::Asked(end_of_it)) => Said::Judged(end_of_it),
            (Some(Verdict::Repairable { otherwise, .. }), Said::Nothing | Said::Judged(_)) => {
                Said::Judged(otherwise)
            }
        };
        Attempt::Ended(end, said)
    }

    /// `None` where the backend gave no answer, or any answer will do.
    fn verdict(&self, end: &TurnEnd) -> Option<Verdict> {
        if matches!(self.demand, Demand::Nothing) {
            return None;
        }
        match &end.outcome {
            Outcome::Answer { text } => Some(self.demand.judge(text.clone())),
            _ => None,
        }
    }

    /// Commits that the first answer is void, tells, and sends the message.
    async fn repair(&mut self, first: &TurnEnd, message: String, claim: Claim) -> Attempt {
        let user_uuid = Uuid::new_v4();
        self.spend(first);
        match self.task.store.repair_turn(claim, self.turn.id, self.turn.attempt, user_uuid).await {
            Ok((turn, event)) => {
                self.task.figures.answer_repaired();
                self.renew(turn);
                self.task.live.publish(vec![event]);
                let span = trace::exchange(self.turn.attempt);
                self.exchange(user_uuid, message, claim).instrument(span).await
            }
            Err(error) => {
                self.record_failed(&error);
                self.end_process(Stop::Now).await;
                Attempt::Broken
            }
        }
    }
}
