//! The order in which turns get a slot: the modules that ask take turns, and each module's turns come in their order. Pure;
//! it must not know what a turn is, nor why one may not run now.
//!
//! Modules are served in rounds: who was served waits for the next round, who comes new or was not served yet has a place
//! in this one. What may not run now (its module is at its limit) is passed over and keeps its place. What one grant costs
//! grows with the number of modules at most, never with the number of turns.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
};

use crate::pair::{Name, Pair};

/// Where one waits.
#[derive(Debug, Clone)]
struct Place {
    pair: Pair,
    number: u64,
}

/// Those of one module that asks: by the module that answers, each by its number.
type Waiting<K> = BTreeMap<Name, BTreeMap<u64, K>>;

/// Turns in their order. Each conversation has at most one in here: the one in front of its line.
#[derive(Debug)]
pub(crate) struct Fair<K> {
    sources: HashMap<Name, Waiting<K>>,
    places: HashMap<K, Place>,
    /// Modules to be served in this round.
    now: VecDeque<Name>,
    /// Modules that were served, and wait for the next.
    next: VecDeque<Name>,
    /// Who was served in this round, also those of which nothing waits any more.
    served: HashSet<Name>,
    numbers: u64,
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<u64>,
}

impl<K> Default for Fair<K> {
    fn default() -> Self {
        Self {
            sources: HashMap::new(),
            places: HashMap::new(),
            now: VecDeque::new(),
            next: VecDeque::new(),
            served: HashSet::new(),
            numbers: 0,
            #[cfg(test)]
            looks: std::cell::Cell::new(0),
        }
    }
}

impl<K: Copy + Eq + Hash> Fair<K> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether one waits here.
    pub(crate) fn contains(&self, key: K) -> bool {
        self.places.contains_key(&key)
    }

    /// Puts one behind those of its module.
    pub(crate) fn push(&mut self, key: K, pair: &Pair) {
        if self.places.contains_key(&key) {
            return;
        }
        self.numbers += 1;
        let number = self.numbers;
        if !self.sources.contains_key(&pair.source) {
            let later = self.served.contains(&pair.source);
            (if later { &mut self.next } else { &mut self.now }).push_back(Name::clone(&pair.source));
        }
        let waiting = self.sources.entry(Name::clone(&pair.source)).or_default();
        waiting.entry(Name::clone(&pair.target)).or_default().insert(number, key);
        self.places.insert(key, Place { pair: pair.clone(), number });
    }

    /// Takes one out that does not wait any more. Its module was not served by that.
    pub(crate) fn remove(&mut self, key: K) -> bool {
        let Some(place) = self.places.remove(&key) else { return false };
        if self.take_out(&place) {
            self.now.retain(|name| *name != place.pair.source);
            self.next.retain(|name| *name != place.pair.source);
        }
        true
    }

    /// Takes one from among its module's; whether it was the module's last.
    fn take_out(&mut self, Place { pair, number }: &Place) -> bool {
        let Some(waiting) = self.sources.get_mut(&pair.source) else { return false };
        if let Some(group) = waiting.get_mut(&pair.target) {
            group.remove(number);
            if group.is_empty() {
                waiting.remove(&pair.target);
            }
        }
        let last = waiting.is_empty();
        if last {
            self.sources.remove(&pair.source);
        }
        last
    }

    /// Whose turn it is, of those that may run.
    pub(crate) fn first(&self, may: impl Fn(&Pair) -> bool) -> Option<K> {
        let of_source = |source: &Name| {
            let groups = self.sources.get(source)?.iter();
            let heads = groups.filter_map(|(target, group)| {
                #[cfg(test)]
                self.looks.set(self.looks.get() + 1);
                let (number, key) = group.first_key_value()?;
                let pair = Pair { source: Name::clone(source), target: Name::clone(target) };
                may(&pair).then_some((*number, *key))
            });
            heads.min_by_key(|(number, _)| *number).map(|(_, key)| key)
        };
        self.now.iter().chain(&self.next).find_map(of_source)
    }

    /// It was served: it is taken out, and its module's next one comes in the next round.
    pub(crate) fn serve(&mut self, key: K) {
        let Some(place) = self.places.remove(&key) else { return };
        let source = Name::clone(&place.pair.source);
        if self.served.contains(&source) {
            // Nobody of this round may run: the next one begins, and those who were passed over come first in it.
            self.now.append(&mut self.next);
            self.served.clear();
        }
        self.now.retain(|name| *name != source);
        if !self.take_out(&place) {
            self.next.push_back(Name::clone(&source));
        }
        self.served.insert(source);
    }

    /// How many are served before the last one of a module, if all go on as it is now.
    pub(crate) fn before_last_of(&self, source: &Name) -> usize {
        let count = |name: &Name| -> usize {
            self.sources.get(name).map_or(0, |waiting| waiting.values().map(BTreeMap::len).sum())
        };
        let own = count(source).saturating_sub(1);
        let mut passed = false;
        let others = self.now.iter().chain(&self.next).map(|name| {
            if name == source {
                passed = true;
                return 0;
            }
            count(name).min(own + usize::from(!passed))
        });
        own + others.sum::<usize>()
    }

    /// All, in the order in which they are served if nothing changes.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (K, Pair)> {
        let of_source = |source: &Name| {
            let mut all: Vec<(u64, K, Pair)> = Vec::new();
            for (target, group) in self.sources.get(source).into_iter().flatten() {
                let pair = Pair { source: Name::clone(source), target: Name::clone(target) };
                all.extend(group.iter().map(|(number, key)| (*number, *key, pair.clone())));
            }
            all.sort_unstable_by_key(|(number, ..)| *number);
            all.into_iter()
        };
        let mut rotation: VecDeque<_> = self.now.iter().chain(&self.next).map(of_source).collect();
        std::iter::from_fn(move || {
            loop {
                let mut source = rotation.pop_front()?;
                if let Some((_, key, pair)) = source.next() {
                    rotation.push_back(source);
                    return Some((key, pair));
                }
            }
        })
    }

    /// Between whom something waits, and how much.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Pair, usize)> {
        self.sources.iter().flat_map(|(source, waiting)| {
            waiting.iter().map(|(target, group)| {
                (Pair { source: Name::clone(source), target: Name::clone(target) }, group.len())
            })
        })
    }
}

#[cfg(test)]
mod tests;
