//! Logs of instances: numbers without gaps whatever happens between, and how long they are kept.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use claude_comms_model::{
    ConversationId, Instance, InstanceId, InstanceState, LogEvent, LogKind, NewLogEvent, Timestamp, TurnId,
    TurnStateKind, Usage,
};
use claude_comms_store::{Observer, Options, RedbStore, STOPPED_INSTANCES, Store};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::*;

fn new(instance_id: InstanceId, number: i64) -> NewLogEvent {
    let turn_id = TurnId(Uuid::now_v7());
    let kind = match number % 3 {
        0 => LogKind::StateChanged { state: InstanceState::Idle, previous: Some(InstanceState::Busy) },
        1 => LogKind::TurnStarted { turn_id, conversation_id: ConversationId(Uuid::now_v7()), attempt: 1 },
        _ => LogKind::TurnEnded {
            turn_id,
            state: TurnStateKind::Failed,
            reason: "PROCESS_DIED".to_owned(),
            usage: Usage { output_tokens: 7, ..Usage::default() },
            cost_usd: 0.5,
            duration: std::time::Duration::from_millis(1500),
        },
    };
    NewLogEvent { instance_id, time: Timestamp(number), kind }
}

fn record(store: &dyn Store, id: InstanceId, stopped: bool) -> Instance {
    Instance {
        id,
        name: String::new(),
        backend: "simulator".to_owned(),
        model: None,
        conversation_id: ConversationId(Uuid::now_v7()),
        pinned: true,
        stopped,
        server_id: store.server().id,
        process_generation: 1,
        turn_count: 0,
        usage: Usage::default(),
        cost_usd: 0.0,
        create_time: Timestamp(1),
        last_active_time: std::time::SystemTime::now().into(),
        exit: None,
    }
}

async fn log(store: &dyn Store, id: InstanceId) -> Vec<LogEvent> {
    store.instance_log(id, 0, usize::MAX).await.unwrap()
}

#[tokio::test]
async fn a_log_is_read_from_anywhere_in_pieces_as_it_was_written() {
    let place = place();
    let id = InstanceId(Uuid::now_v7());
    let events: Vec<_> = (0..10).map(|number| new(id, number)).collect();
    let logged = place.store.log_instances(events.clone()).await.unwrap();
    for (place, (new, event)) in events.iter().zip(&logged).enumerate() {
        let found = (event.sequence, event.time, &event.kind);
        assert_eq!(found, (place as u64 + 1, new.time, &new.kind));
    }
    let place = place.reopened().await;
    assert_eq!(log(&*place.store, id).await, logged);
    assert_eq!(place.store.instance_log(id, 3, 4).await.unwrap(), logged[3..7]);
    assert_eq!(place.store.instance_log(id, 10, 4).await.unwrap(), []);
    assert_eq!(place.store.instance_log(id, u64::MAX, 4).await.unwrap(), []);
    assert_eq!(log(&*place.store, InstanceId(Uuid::now_v7())).await, []);
}

#[tokio::test]
async fn a_turn_and_what_happens_to_its_instance_are_two_commits() {
    let dir = tempfile::tempdir().unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let observer = Observer::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let store = RedbStore::open(dir.path(), Options { observer, ..Options::default() }).unwrap();
    let conversation = conversation(&store).await;
    let id = InstanceId(Uuid::now_v7());
    for turn in 0..10 {
        let before = commits.load(Ordering::Relaxed);
        let begun = vec![new(id, 0), new(id, 1)];
        let (logged, begun) =
            tokio::join!(store.log_instances(begun), accept(&store, running_request(conversation)));
        assert_eq!(logged.unwrap()[0].sequence, turn * 4 + 1);
        let ended = vec![new(id, 2), new(id, 0)];
        let finish = complete(&begun.turn, begun.lease);
        let (logged, finished) = tokio::join!(store.log_instances(ended), store.finish_turn(finish));
        finished.unwrap();
        assert_eq!(logged.unwrap()[1].sequence, turn * 4 + 4);
        assert_eq!(commits.load(Ordering::Relaxed) - before, 2);
    }
}

#[tokio::test]
async fn many_writers_at_once_leave_no_gap_and_no_double() {
    let place = place();
    let ids: Vec<_> = (0..4).map(|_| InstanceId(Uuid::now_v7())).collect();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16_i64 {
        let (store, ids) = (Arc::clone(&place.store), ids.clone());
        writers.spawn(async move {
            for round in 0..10 {
                let events = ids.iter().map(|id| new(*id, writer * 100 + round)).collect();
                store.log_instances(events).await.unwrap();
                // Turns are written in between.
                conversation(&*store).await;
            }
        });
    }
    writers.join_all().await;
    for id in ids {
        let sequences: Vec<_> = log(&*place.store, id).await.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=160).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_log_goes_with_the_memory_of_its_instance() {
    let place = place();
    let store = &*place.store;
    let first = InstanceId(Uuid::now_v7());
    store.log_instances(vec![new(first, 1)]).await.unwrap();
    store.put_instance(record(store, first, true)).await.unwrap();
    for _ in 1..STOPPED_INSTANCES {
        store.put_instance(record(store, InstanceId(Uuid::now_v7()), true)).await.unwrap();
    }
    assert_eq!(log(store, first).await.len(), 1);
    store.put_instance(record(store, InstanceId(Uuid::now_v7()), true)).await.unwrap();
    assert_eq!(log(store, first).await, []);
}

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<usize>),
    Forget(Vec<usize>),
    Record(usize),
    Settle,
    Reopen,
}

const INSTANCES: usize = 4;

/// What was written of each instance, and whether it has a record.
type Model = Vec<(InstanceId, Vec<NewLogEvent>, bool)>;

async fn step(model: &mut Model, place: Place, op: &Op, number: &mut i64) -> Place {
    let store = &*place.store;
    match op {
        Op::Append(of) => {
            let events: Vec<_> = of
                .iter()
                .map(|at| {
                    *number += 1;
                    let event = new(model[*at].0, *number);
                    model[*at].1.push(event.clone());
                    event
                })
                .collect();
            let logged = store.log_instances(events).await.unwrap();
            assert_eq!(logged.len(), of.len());
        }
        Op::Forget(of) => {
            store.forget_instance_logs(of.iter().map(|at| model[*at].0).collect()).await.unwrap();
            of.iter().for_each(|at| model[*at].1.clear());
        }
        Op::Record(at) => {
            store.put_instance(record(store, model[*at].0, false)).await.unwrap();
            model[*at].2 = true;
        }
        Op::Settle => {
            let heads = store.settle_instance_logs().await.unwrap();
            model.iter_mut().filter(|(.., has_record)| !has_record).for_each(|(_, events, _)| events.clear());
            let expected = model.iter().filter(|(_, events, _)| !events.is_empty());
            let expected: BTreeMap<_, _> =
                expected.map(|(id, events, _)| (*id, events.len() as u64)).collect();
            assert_eq!(heads, expected);
        }
        Op::Reopen => return place.reopened().await,
    }
    place
}

async fn run(ops: Vec<Op>) {
    let mut place = place();
    let mut model: Model = (0..INSTANCES).map(|_| (InstanceId(Uuid::now_v7()), Vec::new(), false)).collect();
    let mut number = 0;
    for op in ops.iter().chain([&Op::Reopen]) {
        place = step(&mut model, place, op, &mut number).await;
        for (id, events, _) in &model {
            let found = log(&*place.store, *id).await;
            let expected = events.iter().zip(1..).map(|(new, sequence)| LogEvent {
                sequence,
                instance_id: *id,
                time: new.time,
                kind: new.kind.clone(),
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "after {op:?}");
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let some = proptest::collection::vec(0..INSTANCES, 0..6);
    prop_oneof![
        8 => some.clone().prop_map(Op::Append),
        1 => some.prop_map(Op::Forget),
        1 => (0..INSTANCES).prop_map(Op::Record),
        1 => Just(Op::Settle),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn logs_do_what_their_model_does(ops in proptest::collection::vec(op(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(ops));
    }
}
