//! Requests are safe to repeat, and what a refused one shares a commit with is kept.

use claude_comms_model::TurnStateKind;
use claude_comms_store::{AcceptOutcome, AcceptTurn, RequestScope, StoreError};

use crate::support::*;

#[tokio::test]
async fn the_same_request_finds_its_turn_also_after_reopening() {
    let mut place = place();
    let id = conversation(&*place.store).await;
    let first = running_request(id);
    let accepted = accept(&*place.store, first.clone()).await;
    let repeat = AcceptTurn { turn_id: request(id).turn_id, ..first.clone() };
    for state in [TurnStateKind::Running, TurnStateKind::Completed] {
        match place.store.accept_turn(repeat.clone()).await.unwrap() {
            AcceptOutcome::Same(turn) => {
                assert_eq!(turn.id, first.turn_id);
                assert_eq!(turn.state.kind(), state);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(place.store.turn(repeat.turn_id).await.unwrap(), None);
        if state == TurnStateKind::Running {
            finished(&*place.store, &accepted.turn, accepted.lease.unwrap()).await;
            place = place.reopened().await;
        }
    }
    let conversation = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.turn_count, 1);
}

#[tokio::test]
async fn another_payload_under_the_same_request_is_told_apart() {
    let mut place = place();
    let id = conversation(&*place.store).await;
    let first = request(id);
    accept(&*place.store, first.clone()).await;
    let other = AcceptTurn {
        turn_id: request(id).turn_id,
        payload_hash: "0".repeat(64),
        prompt: "something else".to_owned(),
        ..first.clone()
    };
    for _ in 0..2 {
        let outcome = place.store.accept_turn(other.clone()).await.unwrap();
        assert_eq!(outcome, AcceptOutcome::OtherPayload(first.turn_id));
        place = place.reopened().await;
    }
    assert_eq!(place.store.counts().await.unwrap().turns, 1);
}

#[tokio::test]
async fn a_request_is_scoped_to_its_conversation() {
    let place = place();
    let first = request(conversation(&*place.store).await);
    accept(&*place.store, first.clone()).await;
    let elsewhere = conversation(&*place.store).await;
    let second = AcceptTurn { request_id: first.request_id, ..request(elsewhere) };
    assert_eq!(accept(&*place.store, second.clone()).await.turn.id, second.turn_id);
}

#[tokio::test]
async fn a_requests_turn_is_found_wherever_it_is_in_its_life() {
    let mut place = place();
    let id = conversation(&*place.store).await;
    let wanted = running_request(id);
    assert_eq!(
        place.store.turn_of_request(RequestScope::Conversation(id), wanted.request_id).await.unwrap(),
        None
    );
    let accepted = accept(&*place.store, wanted.clone()).await;
    let found = place.store.turn_of_request(RequestScope::Conversation(id), wanted.request_id).await.unwrap();
    assert_eq!(found, Some(accepted.turn.clone()));
    let ended = finished(&*place.store, &accepted.turn, accepted.lease.unwrap()).await.turn;
    for _ in 0..2 {
        let found =
            place.store.turn_of_request(RequestScope::Conversation(id), wanted.request_id).await.unwrap();
        assert_eq!(found, Some(ended.clone()));
        place = place.reopened().await;
    }
    let elsewhere = conversation(&*place.store).await;
    assert_eq!(
        place.store.turn_of_request(RequestScope::Conversation(elsewhere), wanted.request_id).await.unwrap(),
        None
    );
    place.store.delete_conversation(id).await.unwrap();
    assert_eq!(
        place.store.turn_of_request(RequestScope::Conversation(id), wanted.request_id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn ids_are_used_once() {
    let place = place();
    let new = new_conversation();
    let first = place.store.create_conversation(new.clone()).await.unwrap();
    let again = place.store.create_conversation(new.clone()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(place.store.conversation(new.id).await.unwrap(), Some(first));
    let turn = queued(&*place.store, new.id).await;
    let again = place.store.accept_turn(AcceptTurn { turn_id: turn.id, ..request(new.id) }).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(place.store.turn(turn.id).await.unwrap(), Some(turn));
}

#[tokio::test]
async fn of_many_equal_requests_one_makes_the_turn() {
    let place = place();
    let id = conversation(&*place.store).await;
    let wanted = running_request(id);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = place.store.clone();
        let wanted = AcceptTurn { turn_id: request(id).turn_id, ..wanted.clone() };
        tasks.spawn(async move { store.accept_turn(wanted).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    let made: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            AcceptOutcome::Accepted(accepted) => Some(accepted.turn.id),
            _ => None,
        })
        .collect();
    assert_eq!(made.len(), 1);
    for outcome in &outcomes {
        if let AcceptOutcome::Same(turn) = outcome {
            assert_eq!(turn.id, made[0]);
        }
    }
    assert_eq!(place.store.events(id, 0, 100).await.unwrap().len(), 2);
}

/// Refused and accepted operations wait together, so that many share a commit.
#[tokio::test]
async fn a_refused_operation_leaves_no_trace_and_its_batch_mates_stay() {
    let place = place();
    let id = conversation(&*place.store).await;
    let (ended, lease) = running(&*place.store, id).await;
    finished(&*place.store, &ended, lease).await;
    let before = place.store.conversation(id).await.unwrap().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..200 {
        let store = place.store.clone();
        let refused = complete(&ended, Some(lease));
        tasks.spawn(async move {
            if count % 2 == 0 {
                Some(queued(&*store, id).await.id)
            } else {
                let outcome = store.finish_turn(refused).await;
                assert!(matches!(outcome, Err(StoreError::AlreadyTerminal(_))), "{outcome:?}");
                None
            }
        });
    }
    let mut accepted: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    accepted.sort_unstable();
    let place = place.reopened().await;
    let mut kept: Vec<_> =
        place.store.unfinished_turns().await.unwrap().into_iter().map(|turn| turn.id).collect();
    kept.sort_unstable();
    assert_eq!(kept, accepted);
    let after = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(after.turn_count, 101);
    assert_eq!(after.last_sequence, before.last_sequence + 100);
    assert_eq!(after.usage, before.usage);
}
