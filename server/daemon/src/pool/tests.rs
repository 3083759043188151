//! The pool's bookkeeping of pauses: who gets no turn, who is not evicted, what comes back.

use claude_comms_model::{ConversationId, Instance, InstanceId, InstanceState, ServerId, Timestamp, Usage};
use uuid::Uuid;

use super::*;

pub(crate) fn record(id: u128, pinned: bool) -> Instance {
    Instance {
        id: InstanceId(Uuid::from_u128(id)),
        name: String::new(),
        backend: "simulated".to_owned(),
        model: None,
        conversation_id: ConversationId(Uuid::from_u128(id + 100)),
        pinned,
        stopped: false,
        server_id: ServerId(Uuid::nil()),
        process_generation: 1,
        turn_count: 0,
        usage: Usage::default(),
        cost_usd: 0.0,
        create_time: Timestamp(0),
        last_active_time: Timestamp(0),
        exit: None,
    }
}

/// A pool of two with one instance of its own in this state.
fn pool(state: InstanceState) -> (Pool, InstanceId, ConversationId) {
    let mut pool = Pool::new(2);
    let record = record(1, false);
    let (id, conversation) = (record.id, record.conversation_id);
    pool.insert(record, state);
    (pool, id, conversation)
}

fn state(pool: &Pool, id: InstanceId) -> InstanceState {
    pool.get(id).expect("it is there").state
}

#[test]
fn a_free_instance_is_paused_at_once_and_gets_no_turn_until_it_is_resumed() {
    for before in [InstanceState::Idle, InstanceState::Dormant] {
        let (mut pool, id, conversation) = pool(before);
        pool.pause(id);
        assert_eq!(state(&pool, id), InstanceState::Paused);
        assert!(pool.get(id).is_some_and(Entry::is_paused));
        let none = || unreachable!("it has an instance");
        assert!(matches!(pool.grant(conversation, None, &Pair::none(), none), Grant::Wait));
        assert!(matches!(pool.grant(conversation, Some(id), &Pair::none(), none), Grant::Wait));
        pool.resume(id);
        assert!(matches!(pool.settle_pause(id), Settle::Done));
        assert_eq!(state(&pool, id), InstanceState::Dormant, "no process is there");
        assert!(matches!(pool.grant(conversation, None, &Pair::none(), none), Grant::Instance(..)));
    }
}

#[test]
fn a_held_instance_is_paused_when_it_comes_back() {
    for before in [InstanceState::Starting, InstanceState::Busy] {
        let (mut pool, id, _) = pool(before);
        pool.pause(id);
        assert_eq!(state(&pool, id), before);
        let entry = pool.get(id).expect("it is there");
        assert!(entry.pause.pending && entry.is_paused());
        let back = if before == InstanceState::Busy { InstanceEvent::Return } else { InstanceEvent::Ready };
        pool.apply(id, back);
        pool.pause_if_pending(id);
        assert_eq!(state(&pool, id), InstanceState::Paused);
        assert!(!pool.get(id).expect("it is there").pause.pending);
    }
}

#[test]
fn a_pause_that_waits_can_be_taken_back() {
    let (mut pool, id, _) = pool(InstanceState::Busy);
    pool.pause(id);
    pool.resume(id);
    pool.apply(id, InstanceEvent::Return);
    pool.pause_if_pending(id);
    assert_eq!(state(&pool, id), InstanceState::Idle);
    assert!(!pool.get(id).is_some_and(Entry::is_paused));
}

#[test]
fn a_paused_instance_is_neither_reclaimed_nor_evicted_and_one_that_lost_its_process_is() {
    let (mut pool, id, _) = pool(InstanceState::Idle);
    assert_eq!((pool.longest_idle(), pool.idle_since(Instant::now())), (Some(id), vec![id]));
    pool.pause(id);
    assert_eq!((pool.longest_idle(), pool.idle_since(Instant::now())), (None, vec![]));
    pool.apply(id, InstanceEvent::ProcessGone);
    assert_eq!(state(&pool, id), InstanceState::Paused, "a pause outlives the process");
    pool.resume(id);
    let _ = pool.settle_pause(id);
    assert_eq!(state(&pool, id), InstanceState::Dormant);
    assert_eq!((pool.longest_idle(), pool.idle_since(Instant::now())), (Some(id), vec![id]));
}

#[test]
fn slots_of_paused_instances_are_full_and_not_lost() {
    let (mut pool, id, _) = pool(InstanceState::Idle);
    pool.insert(record(2, true), InstanceState::Idle);
    pool.pause(id);
    assert!(!pool.all_pinned(), "a paused one may go on and then go");
    assert!(pool.all_held(), "but who comes now is told that nobody knows when");
    let other = ConversationId(Uuid::from_u128(7));
    assert!(matches!(
        pool.grant(other, None, &Pair::none(), || unreachable!("there is no slot")),
        Grant::Full
    ));
}

#[test]
fn an_instance_that_stops_is_not_paused() {
    let (mut pool, id, _) = pool(InstanceState::Stopping);
    pool.pause(id);
    pool.pause_if_pending(id);
    assert_eq!(state(&pool, id), InstanceState::Stopping);
    assert!(!pool.get(id).is_some_and(Entry::is_paused));
}

#[test]
fn the_pools_own_stopped_instances_are_forgotten_before_pinned_ones() {
    let mut pool = Pool::new(2);
    let _ = pool.take_journal();
    for id in 0..REMEMBERED as u128 {
        pool.remember(record(id, id < 2));
    }
    pool.remember(record(1000, false));
    let forgotten = pool.take_journal();
    assert!(matches!(forgotten[..], [Noted::Forgotten(id)] if id == InstanceId(Uuid::from_u128(2))));
    assert_eq!(pool.stopped().count(), REMEMBERED);
}
