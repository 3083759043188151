//! Who may write: epochs, attempts and incarnations are compared inside the write.

use claude_comms_model::{TurnId, TurnState, TurnStateKind};
use claude_comms_store::{FinishTurn, Lease, Store, StoreError};
use uuid::Uuid;

use crate::support::*;

/// What a refused write must leave as it was.
async fn untouched(store: &dyn Store, id: TurnId) -> impl PartialEq + std::fmt::Debug + use<> {
    let turn = store.turn(id).await.unwrap().unwrap();
    let conversation = store.conversation(turn.conversation_id).await.unwrap().unwrap();
    let events = store.events(turn.conversation_id, 0, 1000).await.unwrap();
    (turn, conversation, events, store.unfinished_turns().await.unwrap())
}

/// Every write with this lease and attempt is fenced, and leaves no trace.
async fn assert_fenced(store: &dyn Store, id: TurnId, lease: Lease, attempt: u32) {
    let before = untouched(store, id).await;
    let turn = store.turn(id).await.unwrap().unwrap();
    let finish = FinishTurn { attempt, ..complete(&turn, Some(lease)) };
    for outcome in [
        store.append(lease, id, attempt, vec![note()]).await.err(),
        store.requeue_turn(lease, id, attempt, retrying()).await.err(),
        store.finish_turn(finish).await.err(),
    ] {
        match outcome {
            Some(StoreError::Fenced { epoch, attempt }) => {
                assert_eq!(attempt, turn.attempt);
                let conversation = store.conversation(turn.conversation_id).await.unwrap().unwrap();
                assert_eq!(epoch, conversation.epoch);
            }
            other => panic!("not fenced: {other:?}"),
        }
    }
    assert_eq!(untouched(store, id).await, before);
}

#[tokio::test]
async fn the_same_incarnation_keeps_its_epoch() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let (turn, first) = running(store, id).await;
    finished(store, &turn, first).await;
    let (_, second) = running(store, id).await;
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_lease_of_an_older_incarnation_is_fenced() {
    let place = place();
    let id = conversation(&*place.store).await;
    let (old, old_lease) = running(&*place.store, id).await;
    let place = place.reopened().await;
    let store = &*place.store;
    store.finish_turn(fail(&old, None)).await.unwrap();
    let (new, new_lease) = running(store, id).await;
    assert_eq!(new_lease.epoch, old_lease.epoch + 1);
    assert_fenced(store, new.id, old_lease, new.attempt).await;
    finished(store, &new, new_lease).await;
}

#[tokio::test]
async fn an_epoch_from_the_future_is_fenced() {
    let place = place();
    let store = &*place.store;
    let (turn, lease) = running(store, conversation(store).await).await;
    assert_fenced(store, turn.id, Lease { epoch: lease.epoch + 1, ..lease }, turn.attempt).await;
}

#[tokio::test]
async fn an_older_attempt_is_fenced_after_a_retry() {
    let place = place();
    let store = &*place.store;
    let (first, lease) = running(store, conversation(store).await).await;
    store.requeue_turn(lease, first.id, 1, retrying()).await.unwrap();
    let second = store.start_turn(first.id, on_a_process()).await.unwrap();
    assert_eq!((second.turn.attempt, second.lease), (2, lease));
    assert_fenced(store, first.id, lease, 1).await;
    finished(store, &second.turn, second.lease).await;
}

#[tokio::test]
async fn a_lease_is_for_its_conversation_only() {
    let place = place();
    let store = &*place.store;
    let (turn, _) = running(store, conversation(store).await).await;
    let (_, other) = running(store, conversation(store).await).await;
    let before = untouched(store, turn.id).await;
    let outcome = store.finish_turn(complete(&turn, Some(other))).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    assert_eq!(untouched(store, turn.id).await, before);
}

#[tokio::test]
async fn without_a_lease_only_a_turn_that_nobody_drives_can_end() {
    let place = place();
    let id = conversation(&*place.store).await;
    let (turn, _) = running(&*place.store, id).await;
    let driven = place.store.finish_turn(fail(&turn, None)).await;
    assert!(matches!(driven, Err(StoreError::Fenced { .. })), "{driven:?}");

    let place = place.reopened().await;
    let store = &*place.store;
    let wrong = store.finish_turn(FinishTurn { attempt: 0, ..fail(&turn, None) }).await;
    assert!(matches!(wrong, Err(StoreError::Fenced { attempt: 1, .. })), "{wrong:?}");
    let left_over = store.finish_turn(fail(&turn, None)).await.unwrap();
    assert_eq!(left_over.turn.state.kind(), TurnStateKind::Failed);
    assert_eq!(left_over.turn.incarnation, 1);
}

#[tokio::test]
async fn a_left_over_running_turn_can_be_answered_from_its_transcript() {
    let place = place();
    let id = conversation(&*place.store).await;
    let (turn, _) = running(&*place.store, id).await;
    let place = place.reopened().await;
    let found = FinishTurn {
        session_id: Some(Uuid::new_v4()),
        last_assistant_uuid: Some("found".to_owned()),
        ..complete(&turn, None)
    };
    let finished = place.store.finish_turn(found.clone()).await.unwrap();
    assert!(matches!(finished.turn.state, TurnState::Completed { .. }));
    let conversation = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.claude_session_id, found.session_id);
    assert_eq!(conversation.last_assistant_uuid, found.last_assistant_uuid);
}

#[tokio::test]
async fn of_many_that_start_a_turn_one_wins() {
    let place = place();
    let id = conversation(&*place.store).await;
    let turn = queued(&*place.store, id).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = place.store.clone();
        tasks.spawn(async move { store.start_turn(turn.id, on_a_process()).await });
    }
    let mut winners = Vec::new();
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(started) => winners.push(started),
            Err(error) => assert!(matches!(error, StoreError::Illegal(_)), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let turn = place.store.turn(turn.id).await.unwrap().unwrap();
    assert_eq!(turn, winners[0].turn);
    assert_eq!(turn.attempt, 1);
}

#[tokio::test]
async fn of_many_that_end_a_turn_one_wins_and_the_others_see_its_record() {
    let place = place();
    let id = conversation(&*place.store).await;
    let (turn, lease) = running(&*place.store, id).await;
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..32 {
        let store = place.store.clone();
        let finish = if count % 2 == 0 { complete(&turn, Some(lease)) } else { fail(&turn, Some(lease)) };
        tasks.spawn(async move { store.finish_turn(finish).await });
    }
    let (mut winners, mut seen) = (Vec::new(), Vec::new());
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(finished) => winners.push(finished.turn),
            Err(StoreError::AlreadyTerminal(record)) => seen.push(*record),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((winners.len(), seen.len()), (1, 31));
    assert!(seen.iter().all(|record| *record == winners[0]));
}
