//! Room: how many instances there may be, of whom, and who goes first to make it. Pure bookkeeping, as the pool.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use claude_comms_model::{InstanceId, InstanceState};

use super::{Entry, Pool};
use crate::{
    dispatcher::Held,
    pair::{Name, Pair},
};

/// A module, or a pair of them, of which one instance is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warm {
    source: Option<Name>,
    target: Name,
}

impl Warm {
    /// Reads `module` or `source>target`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (source, target) = match text.split_once('>') {
            Some((source, target)) => (Some(source.trim().into()), target.trim()),
            None => (None, text.trim()),
        };
        let good = !target.is_empty() && !target.contains(['>', ' ']);
        good.then(|| Self { source, target: target.into() })
    }

    fn is(&self, pair: &Pair) -> bool {
        self.target == pair.target && self.source.as_ref().is_none_or(|source| *source == pair.source)
    }
}

/// How many instances there may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RoomLimits {
    /// In all.
    pub instances: usize,
    /// That serve one target module.
    pub of_module: Option<usize>,
    /// That serve one pair of modules.
    pub of_pair: Option<usize>,
    /// Of whom one is kept while there is room.
    pub keep_warm: Vec<Warm>,
}

/// How many there are, by whom they serve.
#[derive(Debug, Default)]
pub(super) struct Served {
    pairs: HashMap<Pair, usize>,
    targets: HashMap<Name, usize>,
}

impl Served {
    pub(super) fn add(&mut self, pair: &Pair) {
        *self.pairs.entry(pair.clone()).or_default() += 1;
        *self.targets.entry(Name::clone(&pair.target)).or_default() += 1;
    }

    pub(super) fn take(&mut self, pair: &Pair) {
        if let Some(count) = self.pairs.get_mut(pair) {
            *count -= 1;
            if *count == 0 {
                self.pairs.remove(pair);
            }
        }
        if let Some(count) = self.targets.get_mut(&pair.target) {
            *count -= 1;
            if *count == 0 {
                self.targets.remove(&pair.target);
            }
        }
    }
}

/// What a limit leaves beside those that are there.
fn left(limit: Option<usize>, is: Option<&usize>) -> usize {
    limit.map_or(usize::MAX, |limit| limit.saturating_sub(is.copied().unwrap_or(0)))
}

impl Pool {
    /// An instance serves somebody else from now on.
    pub(crate) fn set_pair(&mut self, id: InstanceId, pair: Pair) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.served.add(&pair);
        let before = std::mem::replace(&mut entry.pair, pair);
        self.served.take(&before);
    }

    pub(crate) fn set_limits(&mut self, limits: RoomLimits) {
        self.limits = limits;
    }

    /// How many instances there are beyond the most, which may have become fewer.
    pub(crate) fn excess(&self) -> usize {
        self.entries.len().saturating_sub(self.limits.instances)
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.has_room()
    }

    /// Whether a new instance has a slot.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < self.limits.instances
    }

    /// Whether modules have limits of their own.
    pub(crate) fn has_module_limits(&self) -> bool {
        self.limits.of_module.is_some() || self.limits.of_pair.is_some()
    }

    /// How many more instances may serve a pair, slots aside.
    pub(crate) fn room_for(&self, pair: &Pair) -> usize {
        if pair.target.is_empty() {
            return usize::MAX;
        }
        self.room_for_module(&pair.target).min(left(self.limits.of_pair, self.served.pairs.get(pair)))
    }

    fn room_for_module(&self, target: &Name) -> usize {
        left(self.limits.of_module, self.served.targets.get(target))
    }

    /// How many instances those who wait could use, slots aside: so many of each pair. Pairs of one module share its room.
    pub(crate) fn usable(&self, waiting: impl Iterator<Item = (Pair, usize)>) -> usize {
        let mut rooms: HashMap<Name, usize> = HashMap::new();
        waiting
            .map(|(pair, count)| {
                if pair.target.is_empty() {
                    return count;
                }
                let shared = || self.room_for_module(&pair.target);
                let room = rooms.entry(Name::clone(&pair.target)).or_insert_with(shared);
                let used = count.min(self.room_for(&pair)).min(*room);
                *room -= used;
                used
            })
            .sum()
    }

    /// The limit that leaves a pair no room while every instance that counts for it is pinned (or paused, if asked): its end
    /// would be somebody's act.
    pub(crate) fn held_for(&self, pair: &Pair, or_paused: bool) -> Option<Held> {
        if pair.target.is_empty() {
            return None;
        }
        let holds = |entry: &&Entry| {
            let stays = entry.record.pinned || (or_paused && entry.is_paused());
            stays && entry.state != InstanceState::Stopping
        };
        let held = |limit: Option<usize>, served: Option<&usize>, is: &dyn Fn(&Entry) -> bool| {
            let (limit, served) = (limit?, served.copied().unwrap_or(0));
            let full = served >= limit;
            (full && self.entries.values().filter(holds).filter(|entry| is(entry)).count() == served)
                .then_some(limit)
        };
        let of_module = held(self.limits.of_module, self.served.targets.get(&pair.target), &|e| {
            e.pair.target == pair.target
        });
        let of_pair = || held(self.limits.of_pair, self.served.pairs.get(pair), &|e| e.pair == *pair);
        let (setting, most) = match of_module {
            Some(most) => ("pool.module_max_instances", most),
            None => ("pool.pair_max_instances", of_pair()?),
        };
        Some(Held { setting, most, module: Some(pair.target.to_string()) })
    }

    /// Whether one more instance may serve a pair, slots aside.
    pub(crate) fn has_room_for(&self, pair: &Pair) -> bool {
        !self.has_module_limits() || self.room_for(pair) > 0
    }

    /// Whom the instances serve, and how many do.
    pub(crate) fn served(&self) -> impl Iterator<Item = (&Pair, usize)> {
        let nobody = Pair::none();
        // Spares serve nobody yet.
        let serving = move |pair: &Pair, count: usize| {
            if *pair == nobody { count.saturating_sub(self.spares.len()) } else { count }
        };
        let served = self.served.pairs.iter().map(move |(pair, count)| (pair, serving(pair, *count)));
        served.filter(|(_, count)| *count > 0)
    }

    /// Whether every slot is held by a pinned instance.
    pub(crate) fn all_pinned(&self) -> bool {
        self.is_full() && self.entries.values().all(|entry| entry.record.pinned)
    }

    /// Whether no slot will be free before somebody stops or resumes an instance.
    pub(crate) fn all_held(&self) -> bool {
        self.is_full() && self.entries.values().all(|entry| entry.record.pinned || entry.is_paused())
    }

    /// How many have a process that starts, or has not lived so long.
    pub(crate) fn starting(&self, settled: Duration) -> usize {
        let starts = |entry: &&Entry| {
            let young = entry.process_id != 0 && entry.tenure.since.elapsed() < settled;
            entry.state == InstanceState::Starting || young
        };
        self.entries.values().filter(starts).count()
    }

    /// How many slots are about to become free.
    pub(crate) fn ending(&self) -> usize {
        self.entries.values().filter(|entry| entry.ending).count()
    }

    /// The instance that goes first: the one that has been idle longest, those that are to be kept warm after the others.
    pub(crate) fn longest_idle(&self) -> Option<InstanceId> {
        self.first_to_go(|_| true)
    }

    /// The instance that goes so that another may serve this pair, where that is at its limit. None while one is on its way.
    pub(crate) fn in_the_way(&self, pair: &Pair) -> Option<InstanceId> {
        let of_pair = self.served.pairs.get(pair).copied().unwrap_or(0);
        let full_pair = self.limits.of_pair.is_some_and(|limit| of_pair >= limit);
        let is =
            |entry: &Entry| if full_pair { entry.pair == *pair } else { entry.pair.target == pair.target };
        if self.entries.values().any(|entry| entry.ending && is(entry)) {
            return None;
        }
        self.first_to_go(is)
    }

    fn first_to_go(&self, is: impl Fn(&Entry) -> bool) -> Option<InstanceId> {
        let warm = self.warm();
        self.entries
            .values()
            .filter(|entry| entry.may_go() && is(entry))
            .min_by_key(|entry| (!entry.spare, warm.keeps(entry), entry.idle_since))
            .map(|entry| entry.record.id)
    }

    /// Instances that have been idle since before a time and may go, but for the last of whom one is kept warm.
    pub(crate) fn idle_since(&self, before: Instant) -> Vec<InstanceId> {
        let mut idle: Vec<&Entry> = self
            .entries
            .values()
            .filter(|entry| entry.may_go() && !entry.spare && entry.idle_since <= before)
            .collect();
        idle.sort_by_key(|entry| entry.idle_since);
        let mut warm = self.warm();
        idle.retain(|entry| {
            let goes = !warm.keeps(entry);
            if goes {
                warm.goes(entry);
            }
            goes
        });
        idle.into_iter().map(|entry| entry.record.id).collect()
    }

    /// How many there are of each that is to be kept warm.
    fn warm(&self) -> KeptWarm<'_> {
        let stays = |entry: &&Entry| !matches!(entry.state, InstanceState::Stopping | InstanceState::Stopped);
        let count =
            |warm: &Warm| self.entries.values().filter(stays).filter(|entry| warm.is(&entry.pair)).count();
        KeptWarm(self.limits.keep_warm.iter().map(|warm| (warm, count(warm))).collect())
    }
}

struct KeptWarm<'a>(Vec<(&'a Warm, usize)>);

impl KeptWarm<'_> {
    /// Whether it is the last of somebody who is kept warm.
    fn keeps(&self, entry: &Entry) -> bool {
        self.0.iter().any(|(warm, count)| *count <= 1 && warm.is(&entry.pair))
    }

    fn goes(&mut self, entry: &Entry) {
        for (_, count) in self.0.iter_mut().filter(|(warm, _)| warm.is(&entry.pair)) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
