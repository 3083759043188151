//! A budget that leaves no room, in words and in figures.

use std::time::Duration;

use claude_comms_model::{Failure, FailureReason, Timestamp};

use super::{Nano, RESERVED_BY_OTHERS, ledger::Short, midnight_after, usd};

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One turn.
    Turn,
    /// One question, as the module that answers it allows.
    Question,
    /// A conversation, over its whole life.
    Conversation,
    /// A module that answers, for a day.
    ModuleDay,
    /// The whole server, for a day.
    ServerDay,
}

impl Scope {
    /// The name in messages and figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Question => "question",
            Self::Conversation => "conversation",
            Self::ModuleDay => "module_day",
            Self::ServerDay => "server_day",
        }
    }

    /// Where it is set.
    fn key(self) -> &'static str {
        match self {
            Self::Turn => "pool.turn_budget_usd",
            Self::Question => "limits.budget_usd of the module's descriptor",
            Self::Conversation => "pool.conversation_budget_usd",
            Self::ModuleDay => "pool.module_budget_usd",
            Self::ServerDay => "pool.budget_usd",
        }
    }
}

/// A budget that leaves no room.
#[derive(Debug, Clone, PartialEq)]
pub struct Exceeded {
    /// What it is for.
    pub scope: Scope,
    /// The module; empty for all else.
    pub name: String,
    limit: Nano,
    spent: Nano,
    reserved: Nano,
    /// When there may be room; `None` where time alone mends nothing.
    pub retry_after: Option<Duration>,
    /// When the budget begins anew.
    pub reset_after: Option<Duration>,
}

impl Exceeded {
    pub(super) fn new(scope: Scope, limit: Nano, spent: Nano) -> Self {
        let name = String::new();
        Self { scope, name, limit, spent, reserved: 0, retry_after: None, reset_after: None }
    }

    pub(super) fn of_day(short: Short, now: Timestamp) -> Self {
        let reset = midnight_after(now).since(now);
        Self {
            scope: short.scope,
            name: short.name,
            limit: short.limit,
            spent: short.sums.spent,
            reserved: short.sums.reserved,
            retry_after: Some(if short.spent { reset } else { RESERVED_BY_OTHERS.min(reset) }),
            reset_after: Some(reset),
        }
    }

    /// Of a day with 5 seconds left.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let (spent, retry) = (super::nano(0.02), Some(Duration::from_secs(5)));
        let exceeded = Self::new(Scope::ServerDay, super::nano(0.01), spent);
        Self { retry_after: retry, reset_after: retry, ..exceeded }
    }

    /// As the end of a turn.
    pub(crate) fn failure(&self) -> Failure<FailureReason> {
        Failure::new(FailureReason::BudgetExceeded, self.to_string())
    }

    /// As details of a refusal.
    pub(crate) fn metadata(&self) -> [(&'static str, String); 4] {
        [
            ("scope", self.scope.as_str().to_owned()),
            ("module", self.name.clone()),
            ("limit_usd", usd(self.limit).to_string()),
            ("spent_usd", usd(self.spent).to_string()),
        ]
    }
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (limit, spent) = (usd(self.limit), usd(self.spent));
        match self.scope {
            Scope::Turn | Scope::Question => {
                write!(f, "the turn has cost about ${spent:.6} before its answer was complete")?;
            }
            Scope::Conversation => write!(f, "the conversation has cost about ${spent:.6}")?,
            Scope::ModuleDay => write!(f, "questions to {} have cost ${spent:.6} today", self.name)?,
            Scope::ServerDay => write!(f, "turns have cost ${spent:.6} today")?,
        }
        if self.reserved > 0 {
            write!(f, ", and ${:.6} are held for running ones", usd(self.reserved))?;
        }
        write!(f, "; the budget is ${limit} ({})", self.scope.key())?;
        if self.reset_after.is_some() {
            f.write_str(" and begins anew at midnight UTC")?;
        }
        Ok(())
    }
}
