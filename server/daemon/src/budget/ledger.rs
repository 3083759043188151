//! The sums of a day. Pure: what is spent and what is reserved never falls below nothing, and what is reserved is either
//! settled or given back.

use std::collections::BTreeMap;

use super::{Nano, Scope, means::Means, prices::Prices};

/// The most of a day; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DayLimits {
    pub server: Option<Nano>,
    /// Of each module that is asked.
    pub module: Option<Nano>,
}

/// What was spent and what is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub spent: Nano,
    pub reserved: Nano,
}

/// There is no room for a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Short {
    pub scope: Scope,
    pub name: String,
    pub limit: Nano,
    pub sums: Sums,
    /// Whether what ended turns have cost leaves no room, whatever the running ones come to.
    pub spent: bool,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Ledger {
    day: i64,
    /// The day that was left when the clock was set back: it is no new one when it comes again.
    left: Option<i64>,
    server: Sums,
    modules: BTreeMap<String, Sums>,
    pub means: Means,
    pub prices: Prices,
}

impl Ledger {
    pub(super) fn new(day: i64) -> Self {
        Self {
            day,
            left: None,
            server: Sums::default(),
            modules: BTreeMap::new(),
            means: Means::default(),
            prices: Prices::default(),
        }
    }

    /// A new day begins with nothing spent. What is reserved belongs to turns that run: they are settled in the day in
    /// which they end. A clock that is set back, or back and forth, changes nothing.
    pub(super) fn roll(&mut self, day: i64) {
        if day < self.day {
            self.left = Some(self.day);
        }
        if day > self.day && self.left != Some(day) {
            self.server.spent = 0;
            self.modules.retain(|_, sums| {
                sums.spent = 0;
                sums.reserved > 0
            });
        }
        self.day = day;
    }

    /// Whether there is room for `need`. A turn that is expected to cost more than a whole budget may have all of it.
    pub(super) fn room(&self, limits: &DayLimits, target: &str, need: Nano) -> Result<(), Short> {
        let of_module = self.modules.get(target).copied().unwrap_or_default();
        let module = limits.module.filter(|_| !target.is_empty());
        for (scope, name, limit, sums) in [
            (Scope::ServerDay, "", limits.server, self.server),
            (Scope::ModuleDay, target, module, of_module),
        ] {
            let Some(limit) = limit else { continue };
            let fits = |held: Nano| held.saturating_add(need.min(limit)) <= limit;
            if !fits(sums.spent.saturating_add(sums.reserved)) {
                return Err(Short { scope, name: name.to_owned(), limit, sums, spent: !fits(sums.spent) });
            }
        }
        Ok(())
    }

    /// Holds `need` for a turn, if there is room, and no more than a whole budget; returns how much.
    pub(super) fn reserve(&mut self, limits: &DayLimits, target: &str, need: Nano) -> Result<Nano, Short> {
        self.room(limits, target, need)?;
        let module = limits.module.filter(|_| !target.is_empty());
        let held = limits.server.into_iter().chain(module).fold(need, Nano::min);
        self.hold(target, held);
        Ok(held)
    }

    /// Holds more for a turn that turned out dearer: it is spent already, room or not.
    pub(super) fn hold(&mut self, target: &str, more: Nano) {
        for sums in self.both(target) {
            sums.reserved = sums.reserved.saturating_add(more);
        }
    }

    /// Whether more is spent and held than may be.
    pub(super) fn over(&self, limits: &DayLimits, target: &str) -> Option<Short> {
        self.room(limits, target, 0).err()
    }

    /// A turn ends: what was held for it goes, what it cost is spent.
    pub(super) fn settle(&mut self, target: &str, reserved: Nano, cost: Nano) {
        for sums in self.both(target) {
            sums.reserved = sums.reserved.saturating_sub(reserved);
            sums.spent = sums.spent.saturating_add(cost);
        }
    }

    /// Every budget that there is, as it stands.
    pub(super) fn accounts(&self, limits: &DayLimits) -> impl Iterator<Item = (Scope, &str, Nano, Sums)> {
        let server = limits.server.map(|limit| (Scope::ServerDay, "", limit, self.server));
        let modules = limits.module.into_iter().flat_map(|limit| {
            let named = self.modules.iter().filter(|(name, _)| !name.is_empty());
            named.map(move |(name, sums)| (Scope::ModuleDay, name.as_str(), limit, *sums))
        });
        server.into_iter().chain(modules)
    }

    fn both(&mut self, target: &str) -> [&mut Sums; 2] {
        if !self.modules.contains_key(target) {
            self.modules.insert(target.to_owned(), Sums::default());
        }
        let module = self.modules.get_mut(target).expect("put in above");
        [&mut self.server, module]
    }
}
