//! Random operations on the store and on a simple model of it: both must say the same, also across reopening.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use claude_comms_model::TurnStateKind;
use claude_comms_store::{
    ConversationQuery, FinishTurn, RedbStore, RegisterModule, RegisterOutcome, Store, StoreError, TurnQuery,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    model_scenes::{SCENES, accept_both, compare_scenes, query_both, upgrade_both},
    model_state::{Model, Op, Right, Said},
    module_revisions::revisions,
    support::*,
};

pub(crate) fn said<T>(outcome: Result<T, StoreError>) -> Said {
    match outcome {
        Ok(_) => Said::Done,
        Err(StoreError::Fenced { .. }) => Said::Fenced,
        Err(StoreError::Conflict(_)) => Said::Conflict,
        Err(StoreError::AlreadyTerminal(_)) => Said::AlreadyTerminal,
        Err(StoreError::Illegal(_)) => Said::Illegal,
        Err(StoreError::NotFound { .. }) => Said::NotFound,
        Err(other) => panic!("{other:?}"),
    }
}

async fn register_both(
    model: &mut Model,
    store: &dyn Store,
    minor: usize,
    content: usize,
    force: bool,
) -> (Said, Said) {
    let descriptor = format!("content {content}");
    let new = RegisterModule {
        name: "billing".to_owned(),
        version: format!("1.{minor}.0"),
        digest: digest(&descriptor),
        descriptor,
        path: String::new(),
        force,
        must_exist: false,
        expected_digest: None,
    };
    let outcome = match store.register_module(new).await.unwrap() {
        RegisterOutcome::Stored(_) => Said::Done,
        RegisterOutcome::Unchanged(_) => Said::Same,
        RegisterOutcome::Lower(_) => Said::False,
        other => panic!("{other:?}"),
    };
    (model.register(minor, content, force), outcome)
}

/// Does an operation on both; gives what the model expects and what the store said.
async fn step(model: &mut Model, store: &dyn Store, op: Op) -> (Said, Said) {
    let (conversations, turns) = (model.conversations.len(), model.turns.len());
    match op {
        Op::Accept { conversation, repeat, other_payload, start, stale } if conversations > 0 => {
            accept_both(model, store, conversation % conversations, repeat, other_payload, start, stale).await
        }
        Op::Upgrade { conversation, scene, stale } if conversations > 0 => {
            upgrade_both(model, store, conversation % conversations, scene, stale).await
        }
        Op::Start { turn } if turns > 0 => {
            let index = turn % turns;
            let turn = model.turns[index].clone();
            let refused = model.refusal(index, Right::Current);
            let running = (turn.state == TurnStateKind::Running).then_some(Said::Illegal);
            let other_runs = model.runs(turn.conversation).then_some(Said::Conflict);
            let expected = refused.or(running).or(other_runs).unwrap_or(Said::Done);
            if expected == Said::Done {
                model.begin(index);
            }
            (expected, said(store.start_turn(turn.id, on_a_process()).await))
        }
        Op::Append { turn, events, right } if turns > 0 && right != Right::NoLease => {
            let index = turn % turns;
            let turn = model.turns[index].clone();
            let idle = (turn.state != TurnStateKind::Running).then_some(Said::Conflict);
            let expected = model.refusal(index, right).or(idle).unwrap_or(Said::Done);
            let (lease, attempt) = model.lease(index, right);
            if expected == Said::Done {
                model.conversations[turn.conversation].events += events as u64;
            }
            (expected, said(store.append(lease, turn.id, attempt, vec![note(); events]).await))
        }
        Op::Repair { turn, right } if turns > 0 && right != Right::NoLease => {
            let index = turn % turns;
            let turn = model.turns[index].clone();
            let idle = (turn.state != TurnStateKind::Running).then_some(Said::Conflict);
            let expected = model.refusal(index, right).or(idle).unwrap_or(Said::Done);
            let (lease, attempt) = model.lease(index, right);
            if expected == Said::Done {
                model.conversations[turn.conversation].events += 1;
                model.turns[index].repaired = true;
            }
            (expected, said(store.repair_turn(lease, turn.id, attempt, Uuid::new_v4()).await))
        }
        Op::Query { repeat, other_payload, start } => {
            query_both(model, store, repeat, other_payload, start).await
        }
        Op::Register { minor, content, force } => register_both(model, store, minor, content, force).await,
        Op::Unregister => {
            let expected = if model.head.take().is_some() { Said::Done } else { Said::False };
            let outcome = store.unregister_module("billing".to_owned()).await.unwrap();
            (expected, if outcome.is_some() { Said::Done } else { Said::False })
        }
        Op::Requeue { turn, right } if turns > 0 && right != Right::NoLease => {
            let index = turn % turns;
            let turn = model.turns[index].clone();
            let idle = (turn.state != TurnStateKind::Running).then_some(Said::Illegal);
            let expected = model.refusal(index, right).or(idle).unwrap_or(Said::Done);
            let (lease, attempt) = model.lease(index, right);
            if expected == Said::Done {
                model.turns[index].state = TurnStateKind::Queued;
                model.conversations[turn.conversation].events += 1;
                model.queue.retain(|other| *other != index);
                let first = model
                    .queue
                    .iter()
                    .position(|other| model.turns[*other].conversation == turn.conversation)
                    .unwrap_or(model.queue.len());
                model.queue.insert(first, index);
            }
            (expected, said(store.requeue_turn(lease, turn.id, attempt, retrying()).await))
        }
        Op::Finish { turn, right, answer } if turns > 0 => {
            let index = turn % turns;
            let turn = model.turns[index].clone();
            let illegal = (answer && turn.state == TurnStateKind::Queued).then_some(Said::Illegal);
            let expected = model.refusal(index, right).or(illegal).unwrap_or(Said::Done);
            let (lease, attempt) = model.lease(index, right);
            let lease = (right != Right::NoLease).then_some(lease);
            let mut finish = FinishTurn { lease, attempt, ..answering(turn.id) };
            if !answer {
                finish.transition = failing();
            }
            if expected == Said::Done {
                let state = if answer { TurnStateKind::Completed } else { TurnStateKind::Failed };
                model.turns[index].state = state;
                model.conversations[turn.conversation].events += 1;
                model.queue.retain(|other| *other != index);
            }
            (expected, said(store.finish_turn(finish).await))
        }
        Op::Delete { conversation } if conversations > 0 => {
            let at = conversation % conversations;
            let expected = match (model.conversations[at].gone, model.is_open(at)) {
                (true, _) => Said::False,
                (false, true) => Said::Conflict,
                (false, false) => Said::Done,
            };
            let outcome = match store.delete_conversation(model.conversations[at].id).await {
                Ok(false) => Said::False,
                other => said(other),
            };
            if expected == Said::Done {
                model.conversations[at].gone = true;
            }
            (expected, outcome)
        }
        _ => {
            model.made(conversation(store).await, None);
            (Said::Done, Said::Done)
        }
    }
}

/// The store holds what the model holds, and nothing else.
async fn compare(model: &Model, store: &dyn Store) {
    let (mut conversations, mut turns) = (0, 0);
    for (at, expected) in model.conversations.iter().enumerate() {
        let record = store.conversation(expected.id).await.unwrap();
        assert_eq!(record.is_none(), expected.gone);
        let of_it = model.turns.iter().filter(|turn| turn.conversation == at);
        if let Some(record) = record {
            conversations += 1;
            let found = (record.epoch, record.turn_count, record.last_sequence);
            assert_eq!(found, (expected.epoch, expected.turns, expected.events));
            let running = of_it.clone().find(|turn| turn.state == TurnStateKind::Running);
            assert_eq!(record.running, running.map(|turn| turn.id));
            let events = store.events(expected.id, 0, usize::MAX).await.unwrap();
            assert_eq!(events.len() as u64, expected.events);
        }
        for turn in of_it {
            let record = store.turn(turn.id).await.unwrap();
            assert_eq!(record.is_none(), expected.gone);
            if let Some(record) = record {
                turns += 1;
                let found = (record.state.kind(), record.attempt, record.incarnation);
                assert_eq!(found, (turn.state, turn.attempt, turn.incarnation));
                let found = (record.asked.is_some(), record.claude.repair_uuid.is_some());
                assert_eq!(found, (turn.queried, turn.repaired));
            }
        }
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.conversations, counts.turns), (conversations, turns));
    // The order within each conversation is the promise.
    let queue = store.unfinished_turns().await.unwrap();
    assert_eq!(queue.len(), model.queue.len());
    for (at, conversation) in model.conversations.iter().enumerate() {
        let found = queue.iter().filter(|turn| turn.conversation_id == conversation.id).map(|turn| turn.id);
        let expected = model.queue.iter().filter(|turn| model.turns[**turn].conversation == at);
        let expected: Vec<_> = expected.map(|turn| model.turns[*turn].id).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

/// The indexes by modules, and the registry.
async fn compare_modules(model: &Model, store: &dyn Store) {
    let there = |at: usize| model.conversations[at].modules && !model.conversations[at].gone;
    let module = Some("billing".to_owned());
    let query = TurnQuery { module: module.clone(), limit: usize::MAX, ..TurnQuery::default() };
    let found: BTreeSet<_> = store.turns(query).await.unwrap().items.iter().map(|turn| turn.id).collect();
    let expected = model.turns.iter().filter(|turn| there(turn.conversation)).map(|turn| turn.id);
    assert_eq!(found, expected.collect());
    let query = ConversationQuery { module, limit: usize::MAX, ..ConversationQuery::default() };
    let found: BTreeSet<_> = store.conversations(query).await.unwrap().items.iter().map(|of| of.id).collect();
    let expected = model.conversations.iter().enumerate().filter(|(at, _)| there(*at)).map(|(_, of)| of.id);
    assert_eq!(found, expected.collect());

    let mut revisions = revisions(store, "billing").await;
    revisions.reverse();
    let found = revisions.iter().map(|of| (of.version.clone(), of.digest.clone(), of.revision));
    let expected = model.revisions.iter().map(|(minor, content, revision)| {
        (format!("1.{minor}.0"), digest(&format!("content {content}")), *revision)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(revisions.iter().position(|of| of.current), model.head);
}

async fn run(dir: &Path, ops: Vec<Op>) {
    let mut store = Arc::new(open(dir));
    let mut model = Model { incarnation: 1, ..Model::default() };
    for op in ops {
        if matches!(op, Op::Reopen) {
            store.close().await;
            store = Arc::new(open(dir));
            model.incarnation += 1;
        } else {
            let (expected, outcome) = step(&mut model, &*store, op.clone()).await;
            assert_eq!(outcome, expected, "{op:?}");
        }
        compare(&model, &*store).await;
        compare_modules(&model, &*store).await;
        compare_scenes(&model, &*store).await;
    }
    drop(store);
    let store: RedbStore = open(dir);
    compare(&model, &store).await;
    compare_modules(&model, &store).await;
    compare_scenes(&model, &store).await;
}

fn right() -> impl Strategy<Value = Right> {
    prop_oneof![
        6 => Just(Right::Current),
        1 => Just(Right::OldEpoch),
        1 => Just(Right::OldAttempt),
        2 => Just(Right::NoLease),
    ]
}

fn accepting() -> impl Strategy<Value = Op> {
    let repeat = proptest::option::weighted(0.2, 0..1000_usize);
    (0..1000_usize, repeat, any::<bool>(), any::<bool>(), proptest::bool::weighted(0.1)).prop_map(
        |(conversation, repeat, other_payload, start, stale)| Op::Accept {
            conversation,
            repeat,
            other_payload,
            start,
            stale,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let pick = 0..1000_usize;
    prop_oneof![
        1 => Just(Op::Create),
        6 => accepting(),
        3 => (pick.clone(), 0..SCENES, proptest::bool::weighted(0.2))
            .prop_map(|(conversation, scene, stale)| Op::Upgrade { conversation, scene, stale }),
        4 => pick.clone().prop_map(|turn| Op::Start { turn }),
        3 => (pick.clone(), 0..4_usize, right()).prop_map(|(turn, events, right)| Op::Append { turn, events, right }),
        3 => (pick.clone(), right()).prop_map(|(turn, right)| Op::Requeue { turn, right }),
        5 => (pick.clone(), right(), any::<bool>())
            .prop_map(|(turn, right, answer)| Op::Finish { turn, right, answer }),
        4 => (proptest::option::weighted(0.4, pick.clone()), any::<bool>(), any::<bool>()).prop_map(
            |(repeat, other_payload, start)| Op::Query { repeat, other_payload, start }
        ),
        2 => (pick.clone(), right()).prop_map(|(turn, right)| Op::Repair { turn, right }),
        3 => (0..3_usize, 0..3_usize, any::<bool>())
            .prop_map(|(minor, content, force)| Op::Register { minor, content, force }),
        1 => Just(Op::Unregister),
        1 => pick.prop_map(|conversation| Op::Delete { conversation }),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_its_model_does(ops in proptest::collection::vec(op(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(dir.path(), ops));
    }
}
