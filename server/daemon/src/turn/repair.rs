//! The judgement of an answer, and the one message that asks for a better one inside the same turn.

use claude_comms_store::Lease as Claim;
use claude_comms_stream_json::turn::{Outcome, TurnEnd};
use claude_comms_supervisor::Stop;
use uuid::Uuid;

use super::{
    answer::{Demand, Verdict},
    drive::{Attempt, Drive},
    end::usage_of,
};

impl Drive<'_> {
    /// What an attempt comes to once its answer was judged. Data that does not fit is asked for once more; whoever wanted
    /// the turn's end gets it then, but for an answer that was complete before.
    pub(super) async fn judged(&mut self, attempt: Attempt, claim: Claim) -> Attempt {
        let (end, instead) = match attempt {
            Attempt::Ended(end, instead) => (end, instead),
            other => return other,
        };
        let message = match self.verdict(&end) {
            None => return Attempt::Ended(end, instead),
            Some(Verdict::Final(transition)) => return Attempt::Ended(end, Some(transition)),
            Some(Verdict::Repairable { message, .. }) => message,
        };
        if instead.is_some() {
            return Attempt::Ended(end, instead);
        }
        tracing::info!(turn.id = %self.turn.id, "data does not fit; asking once more");
        let (end, instead) = match self.repair(&end, message, claim).await {
            Attempt::Ended(end, instead) => (end, instead),
            other => return other,
        };
        let comes_to = match self.verdict(&end) {
            None => instead,
            Some(Verdict::Final(transition)) => Some(transition),
            Some(Verdict::Repairable { otherwise, .. }) => instead.or(Some(otherwise)),
        };
        Attempt::Ended(end, comes_to)
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
        let (usage, cost_usd) = (usage_of(first), first.cost_usd);
        self.spent.0 += usage;
        self.spent.1 += cost_usd;
        match self.task.store.repair_turn(claim, self.turn.id, self.turn.attempt, user_uuid).await {
            Ok((turn, event)) => {
                let asked = self.turn.asked.take();
                self.turn = claude_comms_model::Turn { asked, ..turn };
                self.task.live.publish(vec![event]);
                self.exchange(user_uuid, message, claim).await
            }
            Err(error) => {
                self.record_failed(&error);
                self.end_process(Stop::Now).await;
                Attempt::Broken
            }
        }
    }
}
