//! The queue's truth: what has not ended, in order; and events without gaps under many writers.

use std::collections::BTreeMap;

use claude_comms_model::{ConversationId, TurnId, TurnStateKind};
use claude_comms_store::{Options, RedbStore, Store, StoreError};
use uuid::Uuid;

use crate::support::*;

async fn order(store: &dyn Store, of: ConversationId) -> Vec<TurnId> {
    let turns = store.unfinished_turns().await.unwrap();
    turns.into_iter().filter(|turn| turn.conversation_id == of).map(|turn| turn.id).collect()
}

#[tokio::test]
async fn turns_wait_in_the_order_of_their_acceptance_whatever_their_ids() {
    let place = place();
    let id = conversation(&*place.store).await;
    let mut accepted = Vec::new();
    for _ in 0..40 {
        let mut wanted = request(id);
        wanted.turn_id = TurnId(Uuid::new_v4());
        accepted.push(accept(&*place.store, wanted).await.turn.id);
    }
    assert_eq!(order(&*place.store, id).await, accepted);
    let place = place.reopened().await;
    accepted.push(queued(&*place.store, id).await.id);
    assert_eq!(order(&*place.store, id).await, accepted);
}

#[tokio::test]
async fn an_ended_turn_leaves_the_queue() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let (turn, lease) = running(store, id).await;
    let waiting = queued(store, id).await;
    assert_eq!(order(store, id).await, [turn.id, waiting.id]);
    finished(store, &turn, lease).await;
    assert_eq!(order(store, id).await, [waiting.id]);
    store.finish_turn(fail(&waiting, None)).await.unwrap();
    assert_eq!(order(store, id).await, []);
}

#[tokio::test]
async fn a_requeued_turn_is_the_next_of_its_conversation() {
    let place = place();
    let id = conversation(&*place.store).await;
    let elsewhere = queued(&*place.store, conversation(&*place.store).await).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(queued(&*place.store, id).await.id);
    }
    // The last one overtakes, as a turn for a free instance of its own may.
    let started = place.store.start_turn(waiting[2], on_a_process()).await.unwrap();
    let (turn, event) = place.store.requeue_turn(started.lease, waiting[2], 1, retrying()).await.unwrap();
    assert_eq!(turn.state.kind(), TurnStateKind::Queued);
    assert_eq!((turn.attempt, event.kind), (1, retrying()));
    assert_eq!(place.store.turn(turn.id).await.unwrap().as_ref(), Some(&turn));
    let expected = [waiting[2], waiting[0], waiting[1]];
    assert_eq!(order(&*place.store, id).await, expected);
    // A second retry changes nothing in the order.
    let started = place.store.start_turn(waiting[2], on_a_process()).await.unwrap();
    place.store.requeue_turn(started.lease, waiting[2], 2, retrying()).await.unwrap();
    assert_eq!(order(&*place.store, id).await, expected);
    let place = place.reopened().await;
    assert_eq!(order(&*place.store, id).await, expected);
    assert_eq!(order(&*place.store, elsewhere.conversation_id).await, [elsewhere.id]);
    let again = place.store.start_turn(waiting[2], on_a_process()).await.unwrap();
    assert_eq!((again.turn.attempt, again.turn.incarnation), (3, 2));
}

#[tokio::test]
async fn only_a_running_turn_takes_events_and_goes_back() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let (running, lease) = running(store, id).await;
    let waiting = queued(store, id).await;
    let outcome = store.append(lease, waiting.id, 0, vec![note()]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    let outcome = store.requeue_turn(lease, waiting.id, 0, retrying()).await;
    assert!(matches!(outcome, Err(StoreError::Illegal(_))), "{outcome:?}");
    assert_eq!(store.append(lease, running.id, 1, vec![]).await.unwrap(), []);
    let events = store.append(lease, running.id, 1, vec![note(), retrying()]).await.unwrap();
    let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [4, 5]);
    assert_eq!(store.turn_events(running.id, 2).await.unwrap(), events);
    assert_eq!(store.turn_events(running.id, 4).await.unwrap(), events[1..]);
    assert_eq!(store.turn_events(running.id, u64::MAX).await.unwrap(), []);
    assert_eq!(store.events(id, 3, 1).await.unwrap(), events[..1]);
    assert_eq!(store.events(id, u64::MAX, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sequences_have_no_gaps_under_64_producers() {
    gap_free(Options::default()).await;
    // Batches smaller than the crowd, and one by one.
    gap_free(Options { max_batch: 7, ..Options::default() }).await;
    gap_free(Options { max_batch: 0, ..Options::default() }).await;
}

async fn gap_free(options: Options) {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(RedbStore::open(dir.path(), options).unwrap());
    let mut conversations = Vec::new();
    for _ in 0..4 {
        conversations.push(conversation(&*store).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..64 {
        let store = store.clone();
        let id = conversations[producer % conversations.len()];
        // One of a conversation's producers has its turns run; those of the others end while they wait.
        let runs = producer < conversations.len();
        tasks.spawn(async move {
            let mut told = Vec::new();
            for _ in 0..4 {
                if !runs {
                    let accepted = accept(&*store, request(id)).await;
                    told.extend(accepted.events);
                    told.push(store.finish_turn(fail(&accepted.turn, None)).await.unwrap().event);
                    continue;
                }
                let accepted = accept(&*store, running_request(id)).await;
                let (turn, lease) = (accepted.turn, accepted.lease.unwrap());
                told.extend(accepted.events);
                told.extend(store.append(lease, turn.id, 1, vec![note(), note()]).await.unwrap());
                told.push(finished(&*store, &turn, lease).await.event);
            }
            told
        });
    }
    let mut told: BTreeMap<ConversationId, Vec<_>> = BTreeMap::new();
    for event in tasks.join_all().await.into_iter().flatten() {
        told.entry(event.conversation_id).or_default().push(event);
    }
    for (id, mut told) in told {
        told.sort_by_key(|event| event.sequence);
        let stored = store.events(id, 0, usize::MAX).await.unwrap();
        assert_eq!(stored, told);
        let sequences: Vec<_> = stored.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=4 * (5 + 15 * 2)).collect::<Vec<u64>>());
    }
}
