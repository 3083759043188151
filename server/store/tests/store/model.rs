//! Random operations on the store and on a simple model of it: both must say the same, also across reopening.

use std::{path::Path, sync::Arc};

use claude_comms_model::{ConversationId, RequestId, TurnId, TurnStateKind};
use claude_comms_store::{AcceptOutcome, AcceptTurn, FinishTurn, Lease, RedbStore, Store, StoreError};
use proptest::prelude::*;

use crate::support::*;

/// An operation; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Op {
    Create,
    Accept { conversation: usize, repeat: Option<usize>, other_payload: bool, start: bool },
    Start { turn: usize },
    Append { turn: usize, events: usize, right: Right },
    Requeue { turn: usize, right: Right },
    Finish { turn: usize, right: Right, answer: bool },
    Delete { conversation: usize },
    Reopen,
}

/// By what right a write comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Current,
    OldEpoch,
    OldAttempt,
    NoLease,
}

/// What an operation says, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Done,
    Same,
    OtherPayload,
    False,
    Fenced,
    Conflict,
    AlreadyTerminal,
    Illegal,
    NotFound,
}

#[derive(Debug, Clone)]
struct ModelTurn {
    id: TurnId,
    conversation: usize,
    request: RequestId,
    other_payload: bool,
    state: TurnStateKind,
    attempt: u32,
    incarnation: u64,
}

#[derive(Debug, Clone)]
struct ModelConversation {
    id: ConversationId,
    epoch: u64,
    owner: u64,
    turns: u32,
    events: u64,
    gone: bool,
}

#[derive(Debug, Default)]
struct Model {
    incarnation: u64,
    conversations: Vec<ModelConversation>,
    turns: Vec<ModelTurn>,
    /// Indices of turns that have not ended, in order.
    queue: Vec<usize>,
}

impl Model {
    fn begin(&mut self, turn: usize) {
        let conversation = &mut self.conversations[self.turns[turn].conversation];
        if conversation.owner != self.incarnation {
            conversation.owner = self.incarnation;
            conversation.epoch += 1;
        }
        conversation.events += 1;
        let turn = &mut self.turns[turn];
        turn.state = TurnStateKind::Running;
        turn.attempt += 1;
        turn.incarnation = self.incarnation;
    }

    /// Whether a turn of the conversation runs.
    fn runs(&self, conversation: usize) -> bool {
        self.turns
            .iter()
            .any(|turn| turn.conversation == conversation && turn.state == TurnStateKind::Running)
    }

    /// What is refused before an operation on a turn looks at its state.
    fn refusal(&self, turn: usize, right: Right) -> Option<Said> {
        let turn = &self.turns[turn];
        if self.conversations[turn.conversation].gone {
            return Some(Said::NotFound);
        }
        if turn.state.is_terminal() {
            return Some(Said::AlreadyTerminal);
        }
        let running = turn.state == TurnStateKind::Running;
        let fenced = match right {
            Right::Current => false,
            Right::OldEpoch | Right::OldAttempt => true,
            Right::NoLease => running && turn.incarnation == self.incarnation,
        };
        fenced.then_some(Said::Fenced)
    }

    fn lease(&self, turn: usize, right: Right) -> (Lease, u32) {
        let turn = &self.turns[turn];
        let conversation = &self.conversations[turn.conversation];
        let epoch = conversation.epoch.wrapping_sub(u64::from(right == Right::OldEpoch));
        let attempt = turn.attempt.wrapping_sub(u32::from(right == Right::OldAttempt));
        (Lease { conversation_id: conversation.id, epoch }, attempt)
    }
}

fn said<T>(outcome: Result<T, StoreError>) -> Said {
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

async fn accept_both(
    model: &mut Model,
    store: &dyn Store,
    at: usize,
    repeat: Option<usize>,
    other_payload: bool,
    start: bool,
) -> (Said, Said) {
    let conversation = model.conversations[at].clone();
    let mut wanted = if start { running_request(conversation.id) } else { request(conversation.id) };
    if let Some(repeat) = repeat.filter(|_| !model.turns.is_empty()) {
        wanted.request_id = model.turns[repeat % model.turns.len()].request;
    }
    if other_payload {
        wanted = AcceptTurn { payload_hash: "0".repeat(64), ..wanted };
    }
    let mut of_it = model.turns.iter().filter(|turn| turn.conversation == at);
    let known = of_it.find(|turn| turn.request == wanted.request_id);
    let expected = match known {
        _ if conversation.gone => Said::NotFound,
        Some(turn) if turn.other_payload != other_payload => Said::OtherPayload,
        Some(_) => Said::Same,
        None if start && model.runs(at) => Said::Conflict,
        None => Said::Done,
    };
    let outcome = match store.accept_turn(wanted.clone()).await {
        Ok(AcceptOutcome::Same(_)) => Said::Same,
        Ok(AcceptOutcome::OtherPayload(_)) => Said::OtherPayload,
        other => said(other),
    };
    if expected == Said::Done {
        model.turns.push(ModelTurn {
            id: wanted.turn_id,
            conversation: at,
            request: wanted.request_id,
            other_payload,
            state: TurnStateKind::Queued,
            attempt: 0,
            incarnation: model.incarnation,
        });
        model.conversations[at].turns += 1;
        model.conversations[at].events += 1;
        let index = model.turns.len() - 1;
        model.queue.push(index);
        if start {
            model.begin(index);
        }
    }
    (expected, outcome)
}

/// Does an operation on both; gives what the model expects and what the store said.
async fn step(model: &mut Model, store: &dyn Store, op: Op) -> (Said, Said) {
    let (conversations, turns) = (model.conversations.len(), model.turns.len());
    match op {
        Op::Accept { conversation, repeat, other_payload, start } if conversations > 0 => {
            accept_both(model, store, conversation % conversations, repeat, other_payload, start).await
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
            let open = model.queue.iter().any(|turn| model.turns[*turn].conversation == at);
            let expected = match (model.conversations[at].gone, open) {
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
            let id = conversation(store).await;
            let new = ModelConversation { id, epoch: 0, owner: 0, turns: 0, events: 0, gone: false };
            model.conversations.push(new);
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
    }
    drop(store);
    let store: RedbStore = open(dir);
    compare(&model, &store).await;
}

fn right() -> impl Strategy<Value = Right> {
    prop_oneof![
        6 => Just(Right::Current),
        1 => Just(Right::OldEpoch),
        1 => Just(Right::OldAttempt),
        2 => Just(Right::NoLease),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let pick = 0..1000_usize;
    prop_oneof![
        1 => Just(Op::Create),
        6 => (pick.clone(), proptest::option::weighted(0.2, pick.clone()), any::<bool>(), any::<bool>()).prop_map(
            |(conversation, repeat, other_payload, start)| Op::Accept { conversation, repeat, other_payload, start }
        ),
        4 => pick.clone().prop_map(|turn| Op::Start { turn }),
        3 => (pick.clone(), 0..4_usize, right()).prop_map(|(turn, events, right)| Op::Append { turn, events, right }),
        3 => (pick.clone(), right()).prop_map(|(turn, right)| Op::Requeue { turn, right }),
        5 => (pick.clone(), right(), any::<bool>())
            .prop_map(|(turn, right, answer)| Op::Finish { turn, right, answer }),
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
