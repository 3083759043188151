//! What turns may cost, in US dollars: a ledger of the day with reservations, prices to estimate with while a turn runs,
//! and the account of each turn. No task, no I/O but at the start; one lock, held for some additions. It must not know
//! processes, the queue or gRPC.
//!
//! Money is counted in billionths of a dollar, so that sums are exact.

mod account;
mod exceeded;
mod ledger;
mod means;
mod prices;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use claude_comms_model::{Conversation, Timestamp};

pub(crate) use self::account::{Account, Caps};
pub use self::exceeded::{Exceeded, Scope};
use self::ledger::{DayLimits, Ledger};
use crate::config::{Dollars, Settings};

/// Billionths of a US dollar.
pub(crate) type Nano = u64;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
/// When to come back while other turns hold what is left of a day's budget: many end cheaper than was reserved for them.
const RESERVED_BY_OTHERS: Duration = Duration::from_secs(30);

/// US dollars as they are counted here. What is no sum of money is nothing.
pub(crate) fn nano(usd: f64) -> Nano {
    Dollars::of(usd).0
}

/// As people and records have it.
pub(crate) fn usd(nano: Nano) -> f64 {
    nano as f64 / 1e9
}

/// Says what time it is.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The budgets of the server; cheap to clone.
#[derive(Clone)]
pub struct Budgets(Arc<Shared>);

struct Shared {
    ledger: Mutex<Ledger>,
    settings: Settings,
    clock: Clock,
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budgets").field(&self.0.ledger).finish()
    }
}

/// Between whom a turn is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    /// The module that asks; empty for none.
    pub source: String,
    /// The module that answers; empty for none.
    pub target: String,
}

impl Pair {
    /// Of a conversation.
    pub(crate) fn of(conversation: &Conversation) -> Self {
        let name = |module: &Option<claude_comms_model::ModuleRef>| {
            module.as_ref().map(|module| module.name.clone()).unwrap_or_default()
        };
        Self { source: name(&conversation.source_module), target: name(&conversation.target_module) }
    }
}

/// A day's budget as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct DayBudget {
    /// What it is for.
    pub scope: Scope,
    /// The module; empty for the whole server.
    pub name: String,
    /// The most, US dollars.
    pub limit_usd: f64,
    /// What ended turns of the day have cost.
    pub spent_usd: f64,
    /// What is held for running turns.
    pub reserved_usd: f64,
    /// When it begins anew.
    pub reset_time: Timestamp,
}

impl Budgets {
    /// Of these settings, by the machine's clock.
    pub fn new(settings: Settings) -> Self {
        Self::with_clock(settings, Box::new(|| SystemTime::now().into()))
    }

    fn with_clock(settings: Settings, clock: Clock) -> Self {
        let ledger = Ledger::new(day_of(clock()));
        Self(Arc::new(Shared { ledger: Mutex::new(ledger), settings, clock }))
    }

    fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// The ledger, of the day that is now.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.0.ledger.lock().expect("no code panics while it holds the ledger");
        ledger.roll(day_of(self.now()));
        ledger
    }

    fn day_limits(&self) -> DayLimits {
        let pool = &self.0.settings.now().pool;
        let of = |most: Dollars| most.0;
        DayLimits { server: pool.budget_usd.map(of), module: pool.module_budget_usd.map(of) }
    }

    /// Whether any budget counts by days.
    pub(crate) fn has_day_limits(&self) -> bool {
        self.day_limits() != DayLimits::default()
    }

    /// What the settings allow a turn of this conversation, with what its module allows.
    fn caps(&self, conversation: &Conversation, mut caps: Caps) -> Caps {
        let pool = &self.0.settings.now().pool;
        caps.set_turn(pool.turn_budget_usd.map(|most| most.0));
        caps.conversation = pool.conversation_budget_usd.map(|most| (most.0, nano(conversation.cost_usd)));
        caps
    }

    /// Whether a new turn of the conversation may be accepted. Nothing is reserved.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(crate) fn admit(&self, conversation: &Conversation) -> Result<(), Exceeded> {
        self.caps(conversation, Caps::default()).spent_before()?;
        let pair = Pair::of(conversation);
        let limits = self.day_limits();
        let ledger = self.ledger();
        let need = ledger.means.estimate(&pair);
        ledger.room(&limits, &pair.target, need).map_err(|short| Exceeded::of_day(short, self.now()))
    }

    /// Opens the account of a turn that is about to run, with a reservation of what such turns cost.
    ///
    /// # Errors
    /// [`Exceeded`]: it must not run.
    pub(crate) fn open(&self, conversation: &Conversation, caps: Caps) -> Result<Account, Exceeded> {
        let caps = self.caps(conversation, caps);
        caps.spent_before()?;
        let pair = Pair::of(conversation);
        let limits = self.day_limits();
        let mut ledger = self.ledger();
        let need = ledger.means.estimate(&pair);
        let reserved = ledger.reserve(&limits, &pair.target, need);
        let held = reserved.map_err(|short| Exceeded::of_day(short, self.now()))?;
        drop(ledger);
        Ok(Account::new(self.clone(), pair, caps, held))
    }

    /// The day's budgets as they stand: that of the server, and those of modules that were asked today.
    pub fn days(&self) -> Vec<DayBudget> {
        let limits = self.day_limits();
        let ledger = self.ledger();
        let reset_time = midnight_after(self.now());
        ledger
            .accounts(&limits)
            .map(|(scope, name, limit, sums)| DayBudget {
                scope,
                name: name.to_owned(),
                limit_usd: usd(limit),
                spent_usd: usd(sums.spent),
                reserved_usd: usd(sums.reserved),
                reset_time,
            })
            .collect()
    }
}

/// Days since 1970.
fn day_of(time: Timestamp) -> i64 {
    time.0.div_euclid(DAY_MICROS)
}

fn midnight_after(time: Timestamp) -> Timestamp {
    Timestamp((day_of(time) + 1) * DAY_MICROS)
}
