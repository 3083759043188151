//! A turn's way through the store: what each operation writes.

use claude_comms_model::{EventKind, Transition, TurnState, TurnStateKind};
use claude_comms_store::{FinishTurn, Store, StoreError};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn an_accepted_turn_is_whole_after_reopening() {
    let place = place();
    let id = conversation(&*place.store).await;
    let mut wanted = request(id);
    wanted.prompt = "p\u{fc}nktlich \u{1f980}\n\0".repeat(1000);
    let accepted = accept(&*place.store, wanted.clone()).await;
    assert_eq!(accepted.turn.state, TurnState::Queued);
    assert_eq!((accepted.turn.attempt, accepted.lease), (0, None));
    let kinds: Vec<_> = accepted.events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(kinds, [EventKind::Accepted { request_id: wanted.request_id }]);

    let place = place.reopened().await;
    let turn = place.store.turn(wanted.turn_id).await.unwrap().unwrap();
    assert_eq!(turn, accepted.turn);
    assert_eq!(turn.prompt, wanted.prompt);
    assert_eq!(place.store.turn_events(turn.id, 0).await.unwrap(), accepted.events);
    assert_eq!(place.store.unfinished_turns().await.unwrap(), [turn]);
    let conversation = place.store.conversation(id).await.unwrap().unwrap();
    assert_eq!((conversation.turn_count, conversation.last_sequence, conversation.epoch), (1, 1, 0));
}

#[tokio::test]
async fn accept_with_start_is_one_act() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let wanted = running_request(id);
    let start = wanted.start.unwrap();
    let accepted = accept(store, wanted).await;
    let turn = store.turn(accepted.turn.id).await.unwrap().unwrap();
    assert_eq!(turn, accepted.turn);
    assert_eq!(turn.state, TurnState::Running { instance_id: start.instance_id });
    assert_eq!((turn.attempt, turn.epoch, turn.incarnation), (1, 1, 1));
    assert_eq!(turn.claude.session_id, Some(start.session_id));
    assert_eq!(turn.claude.user_uuid, Some(start.user_uuid));
    assert_eq!(turn.start_time, Some(turn.create_time));
    assert_eq!((turn.first_sequence, turn.last_sequence), (1, 2));
    assert_eq!(accepted.events[1].kind, EventKind::Started { instance_id: start.instance_id, attempt: 1 });
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.claude_session_id, Some(start.session_id));
    assert_eq!(conversation.owner, Some((store.server().id, 1)));
    assert_eq!(accepted.lease.unwrap().epoch, conversation.epoch);
}

#[tokio::test]
async fn finishing_moves_the_counters_of_the_conversation() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let session = Uuid::new_v4();
    for count in 1..=2_u32 {
        let (turn, lease) = running(store, id).await;
        let finish = FinishTurn {
            session_id: Some(session),
            last_assistant_uuid: Some(format!("assistant {count}")),
            ..complete(&turn, Some(lease))
        };
        let finished = store.finish_turn(finish).await.unwrap();
        assert_eq!(
            finished.turn.state,
            TurnState::Completed { text: format!("answer to {}", turn.id), data_json: None }
        );
        assert_eq!(finished.event.kind, EventKind::Completed);
        assert_eq!(finished.turn.last_sequence, finished.event.sequence);
        assert_eq!(store.turn(turn.id).await.unwrap().unwrap(), finished.turn);
        let conversation = store.conversation(id).await.unwrap().unwrap();
        assert_eq!(conversation.turn_count, count);
        assert_eq!(conversation.usage.output_tokens, 40 * u64::from(count));
        assert!((conversation.cost_usd - 0.25 * f64::from(count)).abs() < 1e-9);
        assert_eq!(conversation.last_assistant_uuid, Some(format!("assistant {count}")));
        assert_eq!(conversation.claude_session_id, Some(session));
        assert_eq!(conversation.last_sequence, finished.event.sequence);
    }
    assert_eq!(store.unfinished_turns().await.unwrap(), []);
}

#[tokio::test]
async fn what_an_end_does_not_know_stays_in_the_conversation() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let (turn, lease) = running(store, id).await;
    let known = FinishTurn { last_assistant_uuid: Some("kept".to_owned()), ..complete(&turn, Some(lease)) };
    store.finish_turn(known).await.unwrap();
    let (turn, lease) = running(store, id).await;
    store.finish_turn(fail(&turn, Some(lease))).await.unwrap();
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.last_assistant_uuid.as_deref(), Some("kept"));
    assert_eq!(conversation.claude_session_id, turn.claude.session_id);
}

#[tokio::test]
async fn a_turn_ends_once() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let (turn, lease) = running(store, id).await;
    let first = finished(store, &turn, lease).await.turn;
    let again = [complete(&turn, Some(lease)), fail(&turn, Some(lease)), fail(&turn, None)];
    for finish in again {
        match store.finish_turn(finish).await {
            Err(StoreError::AlreadyTerminal(record)) => assert_eq!(*record, first),
            other => panic!("{other:?}"),
        }
    }
    let late = store.append(lease, turn.id, turn.attempt, vec![note()]).await;
    assert!(matches!(late, Err(StoreError::AlreadyTerminal(_))), "{late:?}");
    let late = store.start_turn(turn.id, on_a_process()).await;
    assert!(matches!(late, Err(StoreError::AlreadyTerminal(_))), "{late:?}");
    let events = store.turn_events(turn.id, 0).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind.is_terminal()).count(), 1);
}

#[tokio::test]
async fn a_turn_takes_only_the_ways_of_its_machine() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let waiting = queued(store, id).await;
    let answered = store.finish_turn(complete(&waiting, None)).await;
    assert!(matches!(answered, Err(StoreError::Illegal(_))), "{answered:?}");
    let started = store.start_turn(waiting.id, on_a_process()).await.unwrap();
    let twice = store.start_turn(waiting.id, on_a_process()).await;
    assert!(matches!(twice, Err(StoreError::Illegal(_))), "{twice:?}");
    let no_end =
        FinishTurn { transition: Transition::Requeue, ..complete(&started.turn, Some(started.lease)) };
    let no_end = store.finish_turn(no_end).await;
    assert!(matches!(no_end, Err(StoreError::Conflict(_))), "{no_end:?}");
    let end = store.append(started.lease, waiting.id, 1, vec![note(), EventKind::Completed]).await;
    assert!(matches!(end, Err(StoreError::Conflict(_))), "{end:?}");
    assert_eq!(store.turn(waiting.id).await.unwrap().unwrap(), started.turn);
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.last_sequence, 2);
}

#[tokio::test]
async fn a_conversation_runs_one_turn_at_a_time() {
    let mut place = place();
    let id = conversation(&*place.store).await;
    let (first, lease) = running(&*place.store, id).await;
    let waiting = queued(&*place.store, id).await;
    // Also when an earlier run of the server left it.
    for _ in 0..2 {
        let store = &*place.store;
        let before = store.conversation(id).await.unwrap().unwrap();
        assert_eq!(before.running, Some(first.id));
        let started = store.start_turn(waiting.id, on_a_process()).await;
        assert!(matches!(started, Err(StoreError::Conflict(_))), "{started:?}");
        let refused = running_request(id);
        let accepted = store.accept_turn(refused.clone()).await;
        assert!(matches!(accepted, Err(StoreError::Conflict(_))), "{accepted:?}");
        assert_eq!(store.turn(refused.turn_id).await.unwrap(), None);
        assert_eq!(store.turn(waiting.id).await.unwrap().as_ref(), Some(&waiting));
        assert_eq!(store.conversation(id).await.unwrap().unwrap(), before);
        place = place.reopened().await;
    }
    let store = &*place.store;
    store.finish_turn(fail(&first, None)).await.unwrap();
    let started = store.start_turn(waiting.id, on_a_process()).await.unwrap();
    assert_ne!(started.lease, lease);
    // The end of one that waits is no end of the one that runs; going back is.
    let third = queued(store, id).await;
    store.finish_turn(fail(&third, None)).await.unwrap();
    assert_eq!(store.conversation(id).await.unwrap().unwrap().running, Some(waiting.id));
    store.requeue_turn(started.lease, waiting.id, 1, retrying()).await.unwrap();
    assert_eq!(store.conversation(id).await.unwrap().unwrap().running, None);
    running(store, id).await;
}

#[tokio::test]
async fn a_queued_turn_can_fail_without_ever_starting() {
    let place = place();
    let store = &*place.store;
    let turn = queued(store, conversation(store).await).await;
    let finished = store.finish_turn(fail(&turn, None)).await.unwrap();
    assert_eq!(finished.turn.state.kind(), TurnStateKind::Failed);
    assert_eq!(finished.turn.shown_text(), "what");
    assert_eq!(finished.turn.attempt, 0);
}

#[tokio::test]
async fn a_cost_that_is_no_number_does_not_make_the_turn_unreadable() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    for cost_usd in [f64::NAN, f64::INFINITY, f64::MAX, f64::MAX] {
        let (turn, lease) = running(store, id).await;
        let finish = FinishTurn { cost_usd, ..complete(&turn, Some(lease)) };
        store.finish_turn(finish).await.unwrap();
        assert!(store.turn(turn.id).await.unwrap().unwrap().cost_usd.is_finite());
        assert!(store.conversation(id).await.unwrap().unwrap().cost_usd.is_finite());
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let place = place();
    let store = &*place.store;
    let nowhere = new_conversation().id;
    let turn = request(nowhere);
    let outcome = store.accept_turn(turn.clone()).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { what: "conversation", .. })), "{outcome:?}");
    let outcome = store.start_turn(turn.turn_id, on_a_process()).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { what: "turn", .. })), "{outcome:?}");
    let outcome = store.turn_events(turn.turn_id, 0).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { what: "turn", .. })), "{outcome:?}");
    let outcome = store.events(nowhere, 0, 10).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { what: "conversation", .. })), "{outcome:?}");
    assert_eq!(store.turn(turn.turn_id).await.unwrap(), None);
    assert_eq!(store.conversation(nowhere).await.unwrap(), None);
    assert!(!store.delete_conversation(nowhere).await.unwrap());
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let place = place();
    let id = conversation(&*place.store).await;
    place.store.close().await;
    place.store.close().await;
    let write = place.store.accept_turn(request(id)).await;
    assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
    let read = place.store.conversation(id).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let scan = place.store.unfinished_turns().await;
    assert!(matches!(scan, Err(StoreError::Unavailable(_))), "{scan:?}");
    // Nothing holds the directory any more although the handle lives.
    assert_eq!(open(place.dir.path()).server().incarnation, 2);
}
