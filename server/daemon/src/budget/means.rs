//! What turns between two modules cost as a rule: what is reserved for the next one.

use std::collections::HashMap;

use super::{Nano, Pair};

/// Reserved at least; and for the first turns of all.
pub(super) const LEAST: Nano = 1_000_000;
/// How many turns a mean remembers.
const MEMORY: u32 = 20;
/// Pairs with a mean of their own.
const PAIRS: usize = 1000;

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    nano: f64,
    turns: u32,
}

impl Mean {
    fn add(&mut self, cost: Nano) {
        self.turns = (self.turns + 1).min(MEMORY);
        self.nano += (cost as f64 - self.nano) / f64::from(self.turns);
    }

    fn known(self) -> Option<Nano> {
        (self.turns > 0).then_some(self.nano as Nano)
    }
}

/// The means of all pairs, and of all turns.
#[derive(Debug, Default)]
pub(super) struct Means {
    pairs: HashMap<Pair, Mean>,
    all: Mean,
}

impl Means {
    /// A turn has cost this.
    pub(super) fn learn(&mut self, pair: &Pair, cost: Nano) {
        self.all.add(cost);
        if let Some(mean) = self.pairs.get_mut(pair) {
            mean.add(cost);
        } else if self.pairs.len() < PAIRS {
            self.pairs.entry(pair.clone()).or_default().add(cost);
        }
    }

    /// What the next turn of a pair will cost.
    pub(super) fn estimate(&self, pair: &Pair) -> Nano {
        let own = self.pairs.get(pair).and_then(|mean| mean.known());
        own.or_else(|| self.all.known()).unwrap_or(LEAST).max(LEAST)
    }
}
