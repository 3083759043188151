//! Queries: a conversation and its first turn in one act, safe to repeat by those who know neither's id.

use claude_comms_store::{AcceptOutcome, AcceptTurn, RequestScope, Store, StoreError};

use crate::support::*;

const PAIR: u128 = 17;

/// The same request from somebody who knows no id of the first.
fn repeat(first: &AcceptTurn) -> AcceptTurn {
    AcceptTurn { request_id: first.request_id, ..query(PAIR, "shop", "billing") }
}

async fn is_empty(store: &dyn Store, refused: &AcceptTurn) -> bool {
    store.turn(refused.turn_id).await.unwrap().is_none()
        && store.conversation(refused.conversation_id).await.unwrap().is_none()
        && store.turn_of_request(refused.scope, refused.request_id).await.unwrap().is_none()
}

#[tokio::test]
async fn a_query_makes_its_conversation_and_its_turn() {
    let place = place();
    for start in [None, Some(on_a_process())] {
        let wanted = AcceptTurn { start, ..query(PAIR, "shop", "billing") };
        let new = wanted.new_conversation.clone().unwrap();
        let accepted = accept(&*place.store, wanted.clone()).await;
        assert_eq!(accepted.lease.is_some(), start.is_some());
        assert_eq!(accepted.turn.message(), "QUESTION: what do you owe?");
        assert_eq!(accepted.turn.conversation_id, new.id);
        assert_eq!(place.store.turn(wanted.turn_id).await.unwrap(), Some(accepted.turn.clone()));
        let kept = place.store.conversation(new.id).await.unwrap().unwrap();
        assert_eq!((&kept.title, &kept.system_prompt), (&new.title, &new.system_prompt));
        assert_eq!((kept.source_module, kept.target_module), (new.source_module, new.target_module));
        assert_eq!((&kept.scene, kept.scene_revision), (&new.scene.as_ref().unwrap().digest, 0));
        assert_eq!((kept.turn_count, kept.running), (1, start.map(|_| wanted.turn_id)));
        assert_eq!(kept.last_sequence, accepted.events.len() as u64);
        assert_eq!(place.store.scene(kept.scene).await.unwrap(), Some(new.scene.unwrap().json));
        assert_eq!(place.store.events(new.id, 0, 9).await.unwrap(), accepted.events);
    }
    assert_eq!(place.store.unfinished_turns().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeated_query_finds_its_turn_and_makes_nothing() {
    let mut place = place();
    let first = query(PAIR, "shop", "billing");
    let turn = accept(&*place.store, first.clone()).await.turn;
    for _ in 0..2 {
        let again = repeat(&first);
        let outcome = place.store.accept_turn(again.clone()).await.unwrap();
        assert_eq!(outcome, AcceptOutcome::Same(Box::new(turn.clone())));
        assert_eq!(place.store.conversation(again.conversation_id).await.unwrap(), None);
        let other = AcceptTurn { payload_hash: "0".repeat(64), ..again };
        let outcome = place.store.accept_turn(other).await.unwrap();
        assert_eq!(outcome, AcceptOutcome::OtherPayload(turn.id));
        let counts = place.store.counts().await.unwrap();
        assert_eq!((counts.conversations, counts.turns), (1, 1));
        place = place.reopened().await;
    }
}

#[tokio::test]
async fn of_many_equal_queries_one_makes_the_conversation() {
    let place = place();
    let first = query(PAIR, "shop", "billing");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, wanted) = (place.store.clone(), repeat(&first));
        tasks.spawn(async move { store.accept_turn(wanted).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    let made = outcomes.iter().filter(|outcome| matches!(outcome, AcceptOutcome::Accepted(_))).count();
    let same = outcomes.iter().filter(|outcome| matches!(outcome, AcceptOutcome::Same(_))).count();
    assert_eq!((made, same), (1, 31));
    let counts = place.store.counts().await.unwrap();
    assert_eq!((counts.conversations, counts.turns), (1, 1));
}

#[tokio::test]
async fn a_request_of_a_pair_is_another_one_in_another_pair() {
    let place = place();
    let first = query(PAIR, "shop", "billing");
    accept(&*place.store, first.clone()).await;
    let second = AcceptTurn { request_id: first.request_id, ..query(PAIR + 1, "shop", "stock") };
    accept(&*place.store, second.clone()).await;
    for wanted in [first, second] {
        let found = place.store.turn_of_request(wanted.scope, wanted.request_id).await.unwrap();
        assert_eq!(found.unwrap().id, wanted.turn_id);
    }
    let nowhere = RequestScope::Pair(PAIR + 2);
    assert_eq!(place.store.turn_of_request(nowhere, request_of_nobody()).await.unwrap(), None);
}

fn request_of_nobody() -> claude_comms_model::RequestId {
    query(PAIR, "shop", "billing").request_id
}

#[tokio::test]
async fn a_request_of_a_pair_is_known_in_its_conversation_too() {
    let place = place();
    let first = query(PAIR, "shop", "billing");
    let turn = accept(&*place.store, first.clone()).await.turn;
    let scope = RequestScope::Conversation(turn.conversation_id);
    let found = place.store.turn_of_request(scope, first.request_id).await.unwrap();
    assert_eq!(found, Some(turn.clone()));
    let follow_up = AcceptTurn { request_id: first.request_id, ..request(turn.conversation_id) };
    let outcome = place.store.accept_turn(follow_up).await.unwrap();
    assert_eq!(outcome, AcceptOutcome::Same(Box::new(turn.clone())));

    // The other way round a conversation's own request is not one of the pair, but no second turn is made of it.
    let own = request(turn.conversation_id);
    let turn = accept(&*place.store, own.clone()).await.turn;
    assert_eq!(place.store.turn_of_request(first.scope, own.request_id).await.unwrap(), None);
    let of_pair = AcceptTurn { scope: first.scope, turn_id: request(turn.conversation_id).turn_id, ..own };
    let outcome = place.store.accept_turn(of_pair).await.unwrap();
    assert_eq!(outcome, AcceptOutcome::Same(Box::new(turn)));
}

#[tokio::test]
async fn a_refused_query_leaves_nothing() {
    let place = place();
    let store = &*place.store;
    let there = accept(store, query(PAIR, "shop", "billing")).await.turn;

    let same_turn = AcceptTurn { turn_id: there.id, ..query(PAIR, "shop", "stock") };
    let outcome = store.accept_turn(same_turn.clone()).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    assert_eq!(store.conversation(same_turn.conversation_id).await.unwrap(), None);
    let scene = same_turn.new_conversation.as_ref().unwrap().scene.clone().unwrap();
    assert_eq!(store.scene(scene.digest).await.unwrap(), None);

    let other_conversation = AcceptTurn { conversation_id: there.conversation_id, ..query(PAIR, "a", "b") };
    let outcome = store.accept_turn(other_conversation).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");

    let mut same_conversation = query(PAIR, "shop", "stock");
    same_conversation.conversation_id = there.conversation_id;
    same_conversation.new_conversation.as_mut().unwrap().id = there.conversation_id;
    let outcome = store.accept_turn(same_conversation.clone()).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    assert_eq!(store.turn(same_conversation.turn_id).await.unwrap(), None);

    let nowhere = AcceptTurn { new_conversation: None, ..query(PAIR, "shop", "stock") };
    let outcome = store.accept_turn(nowhere.clone()).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");
    assert!(is_empty(store, &nowhere).await);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.conversations, counts.turns), (1, 1));
}

#[tokio::test]
async fn a_deleted_conversations_requests_are_free_again() {
    let place = place();
    let store = &*place.store;
    let first = AcceptTurn { start: Some(on_a_process()), ..query(PAIR, "shop", "billing") };
    let kept = query(PAIR, "shop", "billing");
    accept(store, kept.clone()).await;
    let accepted = accept(store, first.clone()).await;
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    assert!(store.delete_conversation(first.conversation_id).await.unwrap());
    assert!(is_empty(store, &first).await);
    assert_eq!(accept(store, first.clone()).await.turn.first_sequence, 1);
    let found = store.turn_of_request(kept.scope, kept.request_id).await.unwrap();
    assert_eq!(found.unwrap().id, kept.turn_id);
}
