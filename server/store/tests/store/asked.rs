//! What was made of a prompt, and the data that came of it: written once, in every answer about one turn, in no list.

use claude_comms_model::{EventKind, ResetReason, Transition, Turn, TurnState};
use claude_comms_store::{AcceptOutcome, AcceptTurn, FinishTurn, StoreError, TurnQuery};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn what_was_asked_is_in_every_read_of_one_turn_and_in_no_list() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let what = asked(&"why? ".repeat(100_000));
    let wanted = AcceptTurn { asked: Some(Box::new(what.clone())), ..request(id) };
    let turn = wanted.turn_id;
    let is_whole = |turn: &Turn| {
        assert_eq!(turn.asked.as_deref(), Some(&what));
        assert_eq!((turn.prompt.as_str(), turn.message()), (wanted.prompt.as_str(), what.message.as_str()));
    };
    let is_read_whole = || async {
        let read = store.turn(turn).await.unwrap().unwrap();
        is_whole(&read);
        let of_request = store.turn_of_request(wanted.scope, wanted.request_id).await.unwrap();
        assert_eq!(of_request.as_ref(), Some(&read));
        if !read.state.kind().is_terminal() {
            assert_eq!(store.unfinished_turns().await.unwrap(), std::slice::from_ref(&read));
        }
        match store.accept_turn(wanted.clone()).await.unwrap() {
            AcceptOutcome::Same(known) => assert_eq!(*known, read),
            other => panic!("{other:?}"),
        }
        let all = TurnQuery { limit: 5, ..TurnQuery::default() };
        assert_eq!(store.turns(all).await.unwrap().items, [Turn { asked: None, ..read.clone() }]);
        read
    };
    is_whole(&accept(store, wanted.clone()).await.turn);
    is_read_whole().await;
    let started = store.start_turn(turn, on_a_process()).await.unwrap();
    assert_eq!(Turn { asked: None, ..is_read_whole().await }, started.turn);
    let (requeued, _) = store.requeue_turn(started.lease, turn, 1, retrying()).await.unwrap();
    assert_eq!(Turn { asked: None, ..is_read_whole().await }, requeued);
    let started = store.start_turn(turn, on_a_process()).await.unwrap();
    store.append(started.lease, turn, 2, vec![note()]).await.unwrap();
    let (repaired, _) = store.repair_turn(started.lease, turn, 2, Uuid::new_v4()).await.unwrap();
    assert_eq!(Turn { asked: None, ..is_read_whole().await }, repaired);
    let ended = finished(store, &started.turn, started.lease).await.turn;
    let read = is_read_whole().await;
    assert_eq!(Turn { asked: None, ..read.clone() }, ended);
    match store.finish_turn(complete(&ended, Some(started.lease))).await {
        Err(StoreError::AlreadyTerminal(known)) => assert_eq!(*known, read),
        other => panic!("{other:?}"),
    }
    let place = place.reopened().await;
    assert_eq!(place.store.turn(turn).await.unwrap(), Some(read));
}

#[tokio::test]
async fn a_turn_that_nothing_was_made_of_is_its_prompt() {
    let place = place();
    let turn = queued(&*place.store, conversation(&*place.store).await).await;
    assert_eq!((turn.asked.as_ref(), turn.message()), (None, turn.prompt.as_str()));
    assert_eq!(place.store.turn(turn.id).await.unwrap(), Some(turn));
}

#[tokio::test]
async fn what_was_asked_goes_with_the_conversation() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let wanted = AcceptTurn { asked: Some(Box::new(asked("why?"))), ..running_request(id) };
    let accepted = accept(store, wanted.clone()).await;
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    assert!(store.delete_conversation(id).await.unwrap());
    // A turn of the same id, should it ever come again, was asked nothing.
    let elsewhere = conversation(store).await;
    accept(store, AcceptTurn { turn_id: wanted.turn_id, ..request(elsewhere) }).await;
    assert_eq!(store.turn(wanted.turn_id).await.unwrap().unwrap().asked, None);
}

#[tokio::test]
async fn a_repair_voids_the_text_and_is_of_its_attempt_alone() {
    let place = place();
    let store = &*place.store;
    let (turn, lease) = running(store, conversation(store).await).await;
    let message = Uuid::new_v4();
    let (repaired, event) = store.repair_turn(lease, turn.id, 1, message).await.unwrap();
    assert_eq!(repaired.claude.repair_uuid, Some(message));
    assert_eq!(repaired.claude.user_uuid, turn.claude.user_uuid);
    assert_eq!(event.kind, EventKind::TextReset { reason: ResetReason::Repair });
    assert_eq!((event.sequence, repaired.last_sequence), (3, 3));
    assert_eq!(store.turn(turn.id).await.unwrap().as_ref(), Some(&repaired));
    assert_eq!(store.turn_events(turn.id, 2).await.unwrap(), [event]);

    store.requeue_turn(lease, turn.id, 1, retrying()).await.unwrap();
    let idle = store.repair_turn(lease, turn.id, 1, message).await;
    assert!(matches!(idle, Err(StoreError::Conflict(_))), "{idle:?}");
    let started = store.start_turn(turn.id, on_a_process()).await.unwrap();
    assert_eq!(started.turn.claude.repair_uuid, None);
    let old = store.repair_turn(lease, turn.id, 1, message).await;
    assert!(matches!(old, Err(StoreError::Fenced { attempt: 2, .. })), "{old:?}");
    let ended = finished(store, &started.turn, started.lease).await.turn;
    let late = store.repair_turn(started.lease, turn.id, 2, message).await;
    assert!(matches!(late, Err(StoreError::AlreadyTerminal(_))), "{late:?}");
    assert_eq!(store.turn(turn.id).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn data_is_kept_digit_for_digit() {
    let place = place();
    let (turn, lease) = running(&*place.store, conversation(&*place.store).await).await;
    let data_json = Some("{\"sum\": 123456789012345678901234567890.10, \"sum\": \"\u{fc}\"}".to_owned());
    let transition = Transition::Complete { text: "see below".to_owned(), data_json };
    let finish = FinishTurn { transition: transition.clone(), ..complete(&turn, Some(lease)) };
    place.store.finish_turn(finish).await.unwrap();
    let place = place.reopened().await;
    let kept = place.store.turn(turn.id).await.unwrap().unwrap();
    match (kept.state, transition) {
        (TurnState::Completed { data_json, .. }, Transition::Complete { data_json: given, .. }) => {
            assert_eq!(data_json, given);
        }
        other => panic!("{other:?}"),
    }
}
