//! Who has room, who goes first, who is kept.

use std::time::Duration;

use claude_comms_model::{ConversationId, instance::InstanceEvent};
use uuid::Uuid;

use super::*;
use crate::pool::{Grant, tests::record};

/// A pool with idle instances that serve these pairs; the first has been idle longest.
fn pool(limits: RoomLimits, pairs: &[(&str, &str)]) -> Pool {
    let mut pool = Pool::new(0);
    pool.set_limits(limits);
    let since = Instant::now();
    for (number, (source, target)) in pairs.iter().enumerate() {
        let record = record(number as u128, false);
        let id = record.id;
        pool.insert_for(record, Pair::new(source, target), InstanceState::Idle);
        let entry = pool.get_mut(id).expect("it is there");
        entry.idle_since =
            since.checked_sub(Duration::from_secs(100 - number as u64)).expect("the clock began before");
    }
    pool
}

fn id(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

fn limits(of_module: Option<usize>, of_pair: Option<usize>, keep_warm: &[&str]) -> RoomLimits {
    let keep_warm = keep_warm.iter().filter_map(|text| Warm::parse(text)).collect();
    RoomLimits { instances: 8, of_module, of_pair, keep_warm }
}

#[test]
fn a_module_and_a_pair_have_room_up_to_their_limits() {
    let pool = pool(limits(Some(3), Some(2), &[]), &[("a", "m"), ("a", "m"), ("b", "m"), ("", "")]);
    for (source, target, room) in
        [("a", "m", 0), ("b", "m", 0), ("c", "m", 0), ("a", "n", 2), ("", "n", 2), ("", "", usize::MAX)]
    {
        assert_eq!(pool.room_for(&Pair::new(source, target)), room, "{source}>{target}");
    }
    let unlimited = super::tests::pool(limits(None, None, &[]), &[("a", "m")]);
    assert!(unlimited.has_room_for(&Pair::new("a", "m")));
}

#[test]
fn an_instance_that_goes_gives_its_room_back() {
    let mut pool = pool(limits(Some(1), None, &[]), &[("a", "m")]);
    let pair = Pair::new("b", "m");
    assert!(!pool.has_room_for(&pair));
    assert_eq!(pool.in_the_way(&pair), Some(id(0)), "an idle one makes room");
    pool.apply(id(0), InstanceEvent::Stop);
    pool.get_mut(id(0)).expect("it is there").ending = true;
    assert_eq!(pool.in_the_way(&pair), None, "it is on its way");
    assert!(!pool.has_room_for(&pair), "until it is gone");
    pool.remove(id(0), None);
    assert!(pool.has_room_for(&pair));
    assert_eq!(pool.served().count(), 0);
}

#[test]
fn only_those_of_the_pair_make_room_for_a_pair_at_its_limit() {
    let pool = pool(limits(None, Some(1), &[]), &[("b", "m"), ("a", "m")]);
    assert_eq!(pool.in_the_way(&Pair::new("a", "m")), Some(id(1)));
}

#[test]
fn who_is_kept_warm_goes_last_and_its_last_one_is_not_reclaimed() {
    let pairs = [("a", "m"), ("b", "m"), ("", "n")];
    let now = Instant::now();
    for (keep_warm, first, reclaimed) in [
        (&[][..], 0, vec![0, 1, 2]),
        (&["m"], 0, vec![0, 2]),
        (&["a>m"], 1, vec![1, 2]),
        (&["a>m", "b > m"], 2, vec![2]),
        (&["m", "n"], 0, vec![0]),
        (&["elsewhere"], 0, vec![0, 1, 2]),
    ] {
        let pool = pool(limits(None, None, keep_warm), &pairs);
        assert_eq!(pool.longest_idle(), Some(id(first)), "{keep_warm:?}");
        let expected: Vec<InstanceId> = reclaimed.into_iter().map(id).collect();
        assert_eq!(pool.idle_since(now), expected, "{keep_warm:?}");
    }
    let last = pool(limits(None, None, &["m"]), &[("a", "m")]);
    assert_eq!(last.longest_idle(), Some(id(0)), "who is alone makes room for others all the same");
}

#[test]
fn what_is_to_be_kept_warm_is_a_module_or_a_pair() {
    for bad in ["", ">", "a>", "a>b>c", "a b"] {
        assert_eq!(Warm::parse(bad), None, "{bad}");
    }
    assert!(Warm::parse(">m").is_some(), "questions without a module that asks");
}

#[test]
fn a_conversation_has_one_instance_and_an_instance_one_conversation() {
    let mut pool = pool(limits(None, None, &[]), &[("a", "m"), ("a", "m")]);
    let conversation = |number: u128| ConversationId(Uuid::from_u128(number + 100));
    let pair = Pair::new("a", "m");
    for number in [0, 1] {
        let none = || unreachable!("it has an instance");
        let granted = pool.grant(conversation(number), None, &pair, none);
        assert!(
            matches!(granted, Grant::Instance(own, _) if own == id(number)),
            "its own, not the idle one beside it"
        );
    }
    let granted = pool.grant(conversation(7), None, &pair, || record(7, false));
    assert!(matches!(granted, Grant::Instance(own, _) if own == id(7)), "a new conversation gets a new one");
}
