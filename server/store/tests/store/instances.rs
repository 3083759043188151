//! Records of pinned instances: what late writers cannot undo, what turns count, and how long they are kept.

use claude_comms_model::{ConversationId, Instance, InstanceExit, InstanceId, Timestamp, Usage};
use claude_comms_store::{AcceptTurn, FinishTurn, STOPPED_INSTANCES, StartTurn, Store};
use uuid::Uuid;

use crate::support::*;

fn new(store: &dyn Store, conversation_id: ConversationId) -> Instance {
    Instance {
        id: InstanceId(Uuid::now_v7()),
        name: "first".to_owned(),
        backend: "simulator".to_owned(),
        model: None,
        conversation_id,
        pinned: true,
        stopped: false,
        server_id: store.server().id,
        process_generation: 1,
        turn_count: 0,
        usage: Usage::default(),
        cost_usd: f64::NAN,
        create_time: Timestamp(1_000),
        last_active_time: Timestamp(1_000),
        exit: None,
    }
}

fn exit(time: i64) -> Option<InstanceExit> {
    let (reason, stderr) = ("stopped".to_owned(), String::new());
    Some(InstanceExit { code: Some(0), reason, stderr, time: Timestamp(time) })
}

async fn only(store: &dyn Store) -> Instance {
    let [instance] = &store.instances().await.unwrap()[..] else { panic!("not one instance") };
    instance.clone()
}

#[tokio::test]
async fn instances_are_remembered() {
    let place = place();
    let mut instance = new(&*place.store, conversation(&*place.store).await);
    place.store.put_instance(instance.clone()).await.unwrap();
    instance.cost_usd = 0.0;
    assert_eq!(only(&*place.store).await, instance);
    instance.stopped = true;
    place.store.put_instance(instance.clone()).await.unwrap();
    let place = place.reopened().await;
    assert_eq!(only(&*place.store).await, instance);
}

#[tokio::test]
async fn a_late_write_undoes_nothing() {
    let place = place();
    let store = &*place.store;
    let first = Instance { cost_usd: 0.0, ..new(store, conversation(store).await) };
    store.put_instance(first.clone()).await.unwrap();
    let last = Instance {
        stopped: true,
        process_generation: 3,
        last_active_time: Timestamp(3_000),
        exit: exit(3_000),
        ..first.clone()
    };
    store.put_instance(last.clone()).await.unwrap();
    assert_eq!(only(store).await, last);
    let between = Instance { process_generation: 2, exit: exit(2_000), ..first.clone() };
    for late in [between, first] {
        store.put_instance(late).await.unwrap();
        assert_eq!(only(store).await, last);
    }
    let newer = Instance { exit: exit(4_000), ..last };
    store.put_instance(newer.clone()).await.unwrap();
    assert_eq!(only(store).await, newer);
}

#[tokio::test]
async fn a_turns_end_counts_for_its_instance_and_no_writer_counts_besides() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let instance = new(store, id);
    store.put_instance(instance.clone()).await.unwrap();
    let start = StartTurn { instance_id: instance.id, ..on_a_process() };
    for count in 1..=3_u32 {
        let turn = accept(store, AcceptTurn { start: Some(start), ..request(id) }).await;
        let finish = match count {
            3 => fail(&turn.turn, turn.lease),
            _ => complete(&turn.turn, turn.lease),
        };
        let ended = store.finish_turn(finish).await.unwrap().turn;
        store.put_instance(Instance { turn_count: 70, cost_usd: 70.0, ..instance.clone() }).await.unwrap();
        let counted = only(store).await;
        assert_eq!((counted.turn_count, counted.usage.output_tokens), (count, 40 * u64::from(count)));
        assert!((counted.cost_usd - 0.25 * f64::from(count)).abs() < 1e-9);
        assert_eq!(Some(counted.last_active_time), ended.end_time);
    }
    // One that waited in vain, one of another instance, and a refused end count nothing.
    let waited = queued(store, id).await;
    store.finish_turn(fail(&waited, None)).await.unwrap();
    let (elsewhere, lease) = running(store, id).await;
    finished(store, &elsewhere, lease).await;
    let counted = only(store).await;
    assert!(store.finish_turn(complete(&elsewhere, Some(lease))).await.is_err());
    assert_eq!((counted.turn_count, only(store).await), (3, counted));

    // What a killed server left running counts when it ends.
    let turn = accept(store, AcceptTurn { start: Some(start), ..request(id) }).await.turn;
    let place = place.reopened().await;
    let left_over = FinishTurn { cost_usd: f64::MAX, ..fail(&turn, None) };
    place.store.finish_turn(left_over).await.unwrap();
    let counted = only(&*place.store).await;
    assert!(counted.cost_usd.is_finite());
    assert_eq!(counted.turn_count, 4);
}

#[tokio::test]
async fn of_stopped_instances_the_newest_are_kept() {
    let place = place();
    let store = &*place.store;
    let id = conversation(store).await;
    let alive = new(store, id);
    let stopped =
        |time: usize| Instance { stopped: true, exit: exit(i64::try_from(time).unwrap()), ..new(store, id) };
    store.put_instance(alive.clone()).await.unwrap();
    // The oldest id stops last.
    let last = stopped(1_000_000);
    let mut all: Vec<_> = (0..STOPPED_INSTANCES + 5).map(stopped).collect();
    all.push(last);
    for instance in &all {
        store.put_instance(instance.clone()).await.unwrap();
    }
    let mut kept: Vec<_> = store.instances().await.unwrap().iter().map(|instance| instance.id).collect();
    kept.sort_unstable();
    let mut expected: Vec<_> = all[6..].iter().chain([&alive]).map(|instance| instance.id).collect();
    expected.sort_unstable();
    assert_eq!(kept, expected);
    // Another write of one that stopped removes nobody.
    store.put_instance(all[6].clone()).await.unwrap();
    assert_eq!(store.instances().await.unwrap().len(), expected.len());
}
