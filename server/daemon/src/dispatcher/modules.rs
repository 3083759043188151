//! How much each pair of modules has here: instances, turns that run, turns that wait.

use std::collections::{BTreeMap, HashMap};

use super::task::DispatcherTask;
use crate::pair::Pair;

/// Pairs that are told by name.
const PAIRS: usize = 100;
/// In place of the names of those beyond; no module is called so.
const OTHER: &str = "_other";

/// What a pair of modules has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleLoad {
    /// Who asks and who answers.
    pub pair: Pair,
    /// Instances that serve it.
    pub instances: usize,
    /// Turns that have an instance.
    pub running: usize,
    /// Turns that wait.
    pub queued: usize,
}

/// Turns of a pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PairTurns {
    pub running: usize,
    pub queued: usize,
}

impl DispatcherTask {
    /// What each pair has, those with most first; beyond a hundred together.
    pub(super) fn module_loads(&self) -> Vec<ModuleLoad> {
        merged(self.pool.served(), self.lines.turns_of_pairs())
    }

    /// Puts up what the pairs have, if that changed.
    pub(super) fn tell_modules(&mut self) {
        self.hub.monitor().board().modules(self.module_loads());
    }
}

fn merged<'a>(
    instances: impl Iterator<Item = (&'a Pair, usize)>,
    turns: &HashMap<Pair, PairTurns>,
) -> Vec<ModuleLoad> {
    let mut loads: BTreeMap<Pair, ModuleLoad> = BTreeMap::new();
    let new = |pair: &Pair| ModuleLoad { pair: pair.clone(), instances: 0, running: 0, queued: 0 };
    for (pair, count) in instances {
        loads.entry(pair.clone()).or_insert_with(|| new(pair)).instances = count;
    }
    for (pair, turns) in turns {
        let load = loads.entry(pair.clone()).or_insert_with(|| new(pair));
        (load.running, load.queued) = (turns.running, turns.queued);
    }
    let mut loads: Vec<ModuleLoad> = loads.into_values().collect();
    // Stable: of equal ones by name.
    loads.sort_by_key(|load| std::cmp::Reverse(load.instances + load.running + load.queued));
    if loads.len() > PAIRS {
        let rest = loads.split_off(PAIRS);
        let sum = |of: fn(&ModuleLoad) -> usize| rest.iter().map(of).sum();
        loads.push(ModuleLoad {
            pair: Pair::new(OTHER, OTHER),
            instances: sum(|load| load.instances),
            running: sum(|load| load.running),
            queued: sum(|load| load.queued),
        });
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_pairs_are_told_by_name_and_the_rest_together() {
        let pairs: Vec<Pair> = (0..130).map(|number| Pair::new("a", &format!("m{number:03}"))).collect();
        let instances = pairs.iter().enumerate().map(|(number, pair)| (pair, 200 - number));
        let busy = PairTurns { running: 1, queued: 2 };
        let turns = HashMap::from([
            (pairs[0].clone(), busy),
            (Pair::new("", ""), PairTurns { running: 0, queued: 1 }),
        ]);
        let loads = merged(instances, &turns);
        assert_eq!(loads.len(), PAIRS + 1);
        assert_eq!(loads[0], ModuleLoad { pair: pairs[0].clone(), instances: 200, running: 1, queued: 2 });
        let rest = &loads[PAIRS];
        let expected: usize = (100..130).map(|number| 200 - number).sum();
        assert_eq!((&*rest.pair.source, &*rest.pair.target), (OTHER, OTHER));
        assert_eq!((rest.instances, rest.queued), (expected, 1));
    }
}
