//! The account of one turn: what it may cost, what it has cost so far, and what is held for it. Whatever becomes of the
//! turn, the account is settled: with the true cost, or when it is dropped with what is known of it.

use claude_comms_model::{AskedLimits, Failure, FailureReason, Usage};
use claude_comms_stream_json::turn::MessageStep;

use super::{Budgets, Exceeded, Nano, Pair, Scope, nano, prices, usd};

/// What a turn may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Caps {
    turn: Option<(Nano, Scope)>,
    /// The most, and what was spent before.
    pub(super) conversation: Option<(Nano, Nano)>,
    rounds: Option<u32>,
}

impl Caps {
    /// As the module that answers allows.
    pub(crate) fn of(asked: AskedLimits) -> Self {
        let turn = asked.budget_nano_usd.map(|most| (most, Scope::Question));
        Self { turn, conversation: None, rounds: asked.rounds }
    }

    /// The settings' limit of a turn, where it is less.
    pub(super) fn set_turn(&mut self, most: Option<Nano>) {
        if let Some(most) = most
            && self.turn.is_none_or(|(other, _)| most < other)
        {
            self.turn = Some((most, Scope::Turn));
        }
    }

    /// Whether the conversation has spent all before the turn.
    pub(super) fn spent_before(&self) -> Result<(), Exceeded> {
        match self.conversation {
            Some((most, before)) if before >= most => Err(Exceeded::new(Scope::Conversation, most, before)),
            _ => Ok(()),
        }
    }

    fn exceeded_by(&self, cost: Nano) -> Option<Exceeded> {
        if let Some((most, scope)) = self.turn
            && cost >= most
        {
            return Some(Exceeded::new(scope, most, cost));
        }
        let (most, before) = self.conversation?;
        let spent = before.saturating_add(cost);
        (spent >= most).then(|| Exceeded::new(Scope::Conversation, most, spent))
    }
}

/// What an answer has taken so far, as the stream tells it.
#[derive(Debug, Default)]
struct Streamed {
    usage: Usage,
    estimate: Nano,
    /// The model, and what its tokens cost by the list; `None` once there are several.
    model: Option<(String, Nano)>,
    mixed: bool,
    rounds: u32,
}

/// The account of a turn that runs.
#[derive(Debug)]
pub(crate) struct Account {
    budgets: Budgets,
    pair: Pair,
    caps: Caps,
    pub(super) reserved: Nano,
    /// What answers that have ended cost.
    known: Nano,
    /// The answer that is being made.
    streamed: Streamed,
    settled: bool,
}

impl Account {
    pub(super) fn new(budgets: Budgets, pair: Pair, caps: Caps, reserved: Nano) -> Self {
        Self { budgets, pair, caps, reserved, known: 0, streamed: Streamed::default(), settled: false }
    }

    /// What it has cost, as far as that is known.
    fn cost(&self) -> Nano {
        self.known.saturating_add(self.streamed.estimate)
    }

    /// Counts what a message took. A failure: the turn must end before it takes more. An answer that is complete is not
    /// ended: it was paid for.
    pub(crate) fn message(
        &mut self,
        model: &str,
        usage: Usage,
        step: MessageStep,
    ) -> Option<Failure<FailureReason>> {
        self.charge(model, usage);
        let goes_on = match step {
            MessageStep::Begun => self.streamed.rounds > 0,
            MessageStep::Ended { goes_on } => {
                self.streamed.rounds += 1;
                goes_on
            }
            MessageStep::Aside => false,
        };
        if !goes_on {
            return None;
        }
        if let Some(most) = self.caps.rounds.filter(|most| self.streamed.rounds >= *most) {
            let words = format!(
                "its answer took more than the {most} rounds of limits.max_turns of the module's descriptor"
            );
            return Some(Failure::new(FailureReason::MaxTurns, words));
        }
        self.exceeded().map(|exceeded| exceeded.failure())
    }

    fn charge(&mut self, model: &str, usage: Usage) {
        let listed = prices::listed(model, usage);
        let streamed = &mut self.streamed;
        streamed.usage += usage;
        match &mut streamed.model {
            Some((known, sum)) if known == model => *sum += listed,
            Some(_) => streamed.mixed = true,
            None => streamed.model = Some((model.to_owned(), listed)),
        }
        let mut ledger = self.budgets.ledger();
        streamed.estimate = streamed.estimate.saturating_add(ledger.prices.corrected(model, listed));
        let cost = self.known.saturating_add(streamed.estimate);
        if cost > self.reserved {
            ledger.hold(&self.pair.target, cost - self.reserved);
            self.reserved = cost;
        }
    }

    /// Whether the turn may take no more: nothing is sent again or asked once more then.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.caps.exceeded_by(self.cost()).or_else(|| {
            let limits = self.budgets.day_limits();
            let short = self.budgets.ledger().over(&limits, &self.pair.target)?;
            Some(Exceeded::of_day(short, self.budgets.now()))
        })
    }

    /// An answer ended, and this is what it truly cost. `whole`: it was not cut, so that its tokens tell its price.
    pub(crate) fn answered(&mut self, cost_usd: f64, whole: bool) {
        let cost = nano(cost_usd);
        let streamed = std::mem::take(&mut self.streamed);
        self.known = self.known.saturating_add(cost);
        if let Some((model, listed)) = streamed.model
            && whole
            && !streamed.mixed
        {
            self.budgets.ledger().prices.learn(&model, listed, cost);
        }
    }

    /// Tokens and estimated cost of an answer that got no end.
    pub(crate) fn cut(&self) -> (Usage, f64) {
        (self.streamed.usage, usd(self.streamed.estimate))
    }

    /// The turn's terminal record is to say that it cost this.
    pub(crate) fn settle(&mut self, cost_usd: f64) {
        self.close(nano(cost_usd));
    }

    fn close(&mut self, cost: Nano) {
        if !std::mem::replace(&mut self.settled, true) {
            let mut ledger = self.budgets.ledger();
            ledger.settle(&self.pair.target, self.reserved, cost);
            // A turn that never came to an answer says nothing of what turns cost.
            if cost > 0 {
                ledger.means.learn(&self.pair, cost);
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(self.cost());
    }
}
