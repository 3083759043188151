//! What the order promises, whatever comes: nobody starves, order within a module, and a grant that costs the same behind ten
//! thousand.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const MODULES: [&str; 4] = ["", "a", "b", "c"];

fn pair(source: usize, target: usize) -> Pair {
    Pair::new(MODULES[source], MODULES[target])
}

fn anybody(_: &Pair) -> bool {
    true
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize, usize),
    Serve,
    /// Serve, while modules with this one as target are at their limit.
    ServeWithout(usize),
    Remove(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4usize, 0..4usize).prop_map(|(source, target)| Step::Push(source, target)),
        3 => Just(Step::Serve),
        2 => (0..4usize).prop_map(Step::ServeWithout),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..200)
}

/// One that waits: when it came, and whom it saw served meanwhile.
struct Waits {
    key: usize,
    pair: Pair,
    seen: Vec<Name>,
}

proptest! {
    #[test]
    fn each_module_is_served_once_a_round_and_in_its_order(steps in steps()) {
        let mut fair = Fair::default();
        let mut waits: Vec<Waits> = Vec::new();
        for (key, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(source, target) => {
                    let pair = pair(source, target);
                    fair.push(key, &pair);
                    waits.push(Waits { key, pair, seen: Vec::new() });
                }
                Step::Remove(index) if !waits.is_empty() => {
                    let gone = waits.remove(index.index(waits.len()));
                    prop_assert!(fair.remove(gone.key));
                }
                Step::Remove(_) => prop_assert!(!fair.remove(key)),
                Step::Serve | Step::ServeWithout(_) => {
                    let without = if let Step::ServeWithout(target) = step { Some(MODULES[target]) } else { None };
                    let may = |pair: &Pair| Some(&*pair.target) != without;
                    let first = fair.first(may);
                    if without.is_none() {
                        let told = fair.in_order().next().map(|(key, _)| key);
                        prop_assert_eq!(first, told, "the order that is told is the one that is kept");
                    }
                    prop_assert_eq!(first.is_some(), waits.iter().any(|waits| may(&waits.pair)), "nobody is forgotten");
                    let Some(first) = first else { continue };
                    fair.serve(first);
                    let place = waits.iter().position(|waits| waits.key == first).expect("it waited");
                    let served = waits.remove(place);
                    prop_assert!(may(&served.pair));
                    let before = waits.iter().find(|waits| waits.pair == served.pair && waits.key < first);
                    prop_assert!(before.is_none(), "a pair's turns come in their order");
                    for waits in waits.iter_mut().filter(|waits| waits.pair.source != served.pair.source && may(&waits.pair)) {
                        waits.seen.push(Name::clone(&served.pair.source));
                    }
                    // Its module began to wait with it: while nobody of its module was served, no other module had two.
                    let source = Name::clone(&served.pair.source);
                    for name in MODULES {
                        let times = served.seen.iter().filter(|seen| seen.as_ref() == name).count();
                        prop_assert!(without.is_some() || times <= 1 || name == source.as_ref(), "{name} had {times} before {source}");
                    }
                    // Whoever waits of the module that was served begins to count anew.
                    for waits in waits.iter_mut().filter(|waits| waits.pair.source == source) {
                        waits.seen.clear();
                    }
                    // And where something could not run, nothing is promised about it until it is served.
                    if without.is_some() {
                        waits.iter_mut().for_each(|waits| waits.seen.clear());
                    }
                }
            }
            prop_assert_eq!(fair.len(), waits.len());
            let listed: HashSet<usize> = fair.in_order().map(|(key, _)| key).collect();
            prop_assert_eq!(listed.len(), waits.len());
            for name in MODULES {
                let name = Name::from(name);
                let last = fair.in_order().enumerate().filter(|(_, (_, pair))| pair.source == name).last();
                if let Some((before, _)) = last {
                    prop_assert_eq!(fair.before_last_of(&name), before);
                }
            }
        }
    }

    #[test]
    fn who_was_not_served_lately_waits_for_one_of_each_other_at_most(
        noise in prop::collection::vec((0..3usize, 0..3usize), 1..300),
        served in 0..20usize,
    ) {
        let mut fair = Fair::default();
        for (key, (source, target)) in noise.iter().enumerate() {
            fair.push(key, &pair(*source, *target));
        }
        for _ in 0..served {
            if let Some(first) = fair.first(anybody) {
                fair.serve(first);
            }
        }
        let mine = usize::MAX;
        fair.push(mine, &pair(3, 3));
        let before: Vec<Pair> = fair.in_order().take_while(|(key, _)| *key != mine).map(|(_, pair)| pair).collect();
        let sources: HashSet<&Name> = before.iter().map(|pair| &pair.source).collect();
        prop_assert_eq!(sources.len(), before.len(), "a module came twice before it");
    }
}

#[test]
fn one_turn_waits_for_one_of_ten_thousand() {
    let mut fair = Fair::default();
    for key in 0..10_000 {
        fair.push(key, &pair(1, 2));
    }
    for _ in 0..10 {
        let first = fair.first(anybody).expect("many wait");
        fair.serve(first);
    }
    fair.push(10_000, &pair(2, 2));
    assert!(fair.before_last_of(&"b".into()) <= 1);
    let order: Vec<usize> = (0..2)
        .map(|_| {
            let first = fair.first(anybody).expect("many wait");
            fair.serve(first);
            first
        })
        .collect();
    assert!(order.contains(&10_000), "{order:?}");
}

#[test]
fn a_grant_looks_at_as_many_places_behind_ten_thousand_as_behind_ten() {
    let looks = |turns: usize| {
        let mut fair = Fair::default();
        for key in 0..turns {
            fair.push(key, &pair(key % 4, 1));
        }
        for _ in 0..8 {
            let first = fair.first(anybody).expect("many wait");
            fair.serve(first);
        }
        fair.looks.get()
    };
    assert_eq!(looks(10_000), looks(10));
}

#[test]
fn what_is_passed_over_keeps_its_place() {
    let mut fair = Fair::default();
    fair.push(0, &pair(1, 1));
    for key in 1..10 {
        fair.push(key, &pair(2, 2));
    }
    let unlimited = |pair: &Pair| &*pair.target != "a";
    for expected in 1..6 {
        assert_eq!(fair.first(unlimited), Some(expected));
        fair.serve(expected);
    }
    assert_eq!(fair.first(anybody), Some(0), "it is the next as soon as it may");
}
