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

#[test]
fn pairs_of_a_module_share_its_room() {
    let pool = pool(limits(Some(3), Some(2), &[]), &[("a", "m")]);
    let usable = |waiting: &[(&str, &str, usize)]| {
        pool.usable(waiting.iter().map(|(source, target, count)| (Pair::new(source, target), *count)))
    };
    assert_eq!(usable(&[("b", "m", 5)]), 2, "as many as the pair may have");
    assert_eq!(usable(&[("a", "m", 5)]), 1);
    assert_eq!(usable(&[("b", "m", 5), ("c", "m", 5), ("d", "m", 5)]), 2, "together as many as the module");
    assert_eq!(usable(&[("b", "m", 5), ("b", "n", 5), ("", "", 7)]), 2 + 2 + 7);
}

#[test]
fn a_limit_is_held_while_all_that_count_for_it_are_pinned_or_paused() {
    let pairs = [("a", "m"), ("b", "m"), ("a", "n")];
    let held = |pool: &Pool, source, target| {
        let pair = Pair::new(source, target);
        [false, true].map(|or_paused| pool.held_for(&pair, or_paused).map(|held| held.setting))
    };
    let mut of_module = pool(limits(Some(2), None, &[]), &pairs);
    assert_eq!(held(&of_module, "c", "m"), [None, None], "idle ones make room");
    of_module.get_mut(id(0)).expect("it is there").record.pinned = true;
    of_module.get_mut(id(1)).expect("it is there").pause.pending = true;
    let limit = Some("pool.module_max_instances");
    assert_eq!(held(&of_module, "c", "m"), [None, limit], "a paused one may be resumed");
    assert_eq!(
        (held(&of_module, "a", "n"), held(&of_module, "", "")),
        ([None; 2], [None; 2]),
        "others have room"
    );
    of_module.get_mut(id(1)).expect("it is there").record.pinned = true;
    assert_eq!(held(&of_module, "c", "m"), [limit; 2]);
    of_module.apply(id(1), InstanceEvent::Stop);
    assert_eq!(held(&of_module, "c", "m"), [None, None], "one is on its way");
    let mut of_pair = pool(limits(None, Some(1), &[]), &pairs);
    of_pair.get_mut(id(0)).expect("it is there").record.pinned = true;
    assert_eq!(held(&of_pair, "a", "m"), [Some("pool.pair_max_instances"); 2]);
    assert_eq!(held(&of_pair, "b", "m"), [None; 2]);
}

#[test]
fn processes_that_start_or_have_just_started_are_counted() {
    let mut pool = pool(limits(None, None, &[]), &[("a", "m"), ("a", "m")]);
    let settled = Duration::from_secs(60);
    assert_eq!(pool.starting(settled), 0, "they have no process");
    pool.get_mut(id(0)).expect("it is there").process_id = 7;
    assert_eq!((pool.starting(settled), pool.starting(Duration::ZERO)), (1, 0));
    pool.insert(record(5, false), InstanceState::Starting);
    assert_eq!((pool.starting(settled), pool.starting(Duration::ZERO)), (2, 1));
}
