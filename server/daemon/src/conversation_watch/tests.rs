//! What a watcher of a conversation is owed, however its turns and their tasks interleave, and whenever it comes, goes and
//! comes back.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use claude_comms_model::{
    CancelReason, ConversationId, Event, EventKind, Failure, InstanceId, RequestId, ResetReason, Transition,
    Turn, TurnId, Usage,
};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, FinishTurn, Lease, NewConversation, Options, RedbStore, RequestScope,
    StartTurn, Store,
};
use proptest::prelude::*;
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use super::*;
use crate::{
    hub::EventHub,
    live::{LiveTurn, Told},
};

/// A turn in the hands of its task: what is on disk and what was told differ for moments.
struct Task {
    live: Arc<LiveTurn>,
    lease: Option<Lease>,
    text: String,
    untold: Vec<Event>,
    end: Option<(Arc<Turn>, Event)>,
    over: bool,
}

struct World {
    store: Arc<dyn Store>,
    hub: EventHub,
    id: ConversationId,
    tasks: Vec<Task>,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(directory.path(), Options::default()).unwrap());
        let id = ConversationId(Uuid::now_v7());
        let new = NewConversation {
            id,
            title: String::new(),
            system_prompt: String::new(),
            model: None,
            labels: BTreeMap::new(),
            source_module: None,
            target_module: None,
            scene: None,
        };
        store.create_conversation(new).await.unwrap();
        Self { store, hub: EventHub::default(), id, tasks: Vec::new(), _directory: directory }
    }

    fn watch(&self, past: Past) -> ConversationWatch {
        ConversationWatch::new(self.id, past, Arc::clone(&self.store), &self.hub)
    }

    async fn accept(&mut self) {
        let live = LiveTurn::new(TurnId(Uuid::now_v7()), self.id);
        self.hub.insert(Arc::clone(&live));
        let accept = AcceptTurn {
            turn_id: live.id,
            conversation_id: self.id,
            new_conversation: None,
            request_id: RequestId(Uuid::new_v4()),
            scope: RequestScope::Conversation(self.id),
            seen_scene_revision: 0,
            payload_hash: String::new(),
            prompt: "p".into(),
            asked: None,
            timeout_micros: 60_000_000,
            target_instance: None,
            start: None,
        };
        let AcceptOutcome::Accepted(accepted) = self.store.accept_turn(accept).await.unwrap() else {
            panic!("it is new")
        };
        let untold = accepted.events;
        self.tasks.push(Task { live, lease: None, text: String::new(), untold, end: None, over: false });
    }

    /// The first turn that has not ended.
    fn front(&mut self) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.end.is_none() && !task.over)
    }

    async fn start(&mut self) {
        let store = Arc::clone(&self.store);
        let Some(task) = self.front().filter(|task| task.lease.is_none()) else { return };
        let (instance_id, session_id) = (InstanceId(Uuid::new_v4()), Uuid::new_v4());
        let start = StartTurn { instance_id, session_id, user_uuid: Uuid::new_v4() };
        let started = store.start_turn(task.live.id, start).await.unwrap();
        task.lease = Some(started.lease);
        task.untold.push(started.event);
    }

    fn text(&mut self, text: &str) {
        if let Some(task) = self.front().filter(|task| task.lease.is_some()) {
            task.tell();
            task.text.push_str(text);
            task.live.push_text(text);
        }
        self.announce();
    }

    async fn reset(&mut self) {
        let store = Arc::clone(&self.store);
        let Some(task) = self.front() else { return };
        let Some(lease) = task.lease else { return };
        task.tell();
        let kinds = vec![EventKind::TextReset { reason: ResetReason::Retry }];
        task.untold.extend(store.append(lease, task.live.id, 1, kinds).await.unwrap());
        task.text.clear();
        task.tell();
        self.announce();
    }

    /// Ends the front turn, or one that waits.
    async fn finish(&mut self, place: usize) {
        let store = Arc::clone(&self.store);
        let waiting: Vec<usize> = (0..self.tasks.len()).filter(|at| self.tasks[*at].end.is_none()).collect();
        let Some(at) = waiting.get(place % waiting.len().max(1)) else { return };
        let task = &mut self.tasks[*at];
        task.tell();
        let text = task.text.clone();
        let transition = match task.lease {
            Some(_) => Transition::Complete { text, data_json: None },
            None => Transition::Cancel {
                failure: Failure::new(CancelReason::CancelRequested, "test"),
                partial_text: text,
            },
        };
        let finish = FinishTurn {
            turn_id: task.live.id,
            lease: task.lease,
            attempt: u32::from(task.lease.is_some()),
            transition,
            usage: Usage::default(),
            cost_usd: 0.0,
            first_token_time: None,
            in_context: true,
            session_id: None,
            last_assistant_uuid: None,
        };
        let finished = store.finish_turn(finish).await.unwrap();
        task.end = Some((Arc::new(finished.turn), finished.event));
        self.announce();
    }

    fn announce(&self) {
        self.tasks
            .iter()
            .filter(|task| task.untold.is_empty())
            .for_each(|task| self.hub.announce(&task.live));
    }

    /// A task gets round to telling what is on disk.
    fn tell(&mut self, place: usize) {
        let count = self.tasks.len().max(1);
        let Some(task) = self.tasks.get_mut(place % count).filter(|task| !task.over) else { return };
        task.tell();
        self.hub.announce(&task.live);
        if let Some((turn, event)) = task.end.clone() {
            task.live.finish(turn, event);
            task.over = true;
            self.hub.remove(task.live.id);
        }
    }
}

impl Task {
    fn tell(&mut self) {
        if !self.untold.is_empty() {
            self.live.publish(std::mem::take(&mut self.untold));
        }
    }
}

/// What a client holds that follows its watch as the contract says.
#[derive(Debug, Default)]
struct Client {
    sequence: u64,
    running: Option<TurnId>,
    text: String,
    ended: BTreeMap<TurnId, String>,
}

impl Client {
    fn past(&self) -> Past {
        let held = if self.running.is_some() { self.text.len() as u64 } else { 0 };
        Past { after_sequence: self.sequence, text_offset: held }
    }

    fn take(&mut self, (sequence, turn, told): ConversationTold) {
        match told {
            Told::Durable { event, turn: record } => {
                assert_eq!(event.sequence, self.sequence + 1, "an event is lost or doubled");
                assert_eq!((event.sequence, event.turn_id), (sequence, turn));
                self.sequence = event.sequence;
                match event.kind {
                    EventKind::Started { .. } => {
                        assert_eq!(self.running.replace(turn), None, "one turn at a time");
                        self.text.clear();
                    }
                    EventKind::TextReset { .. } => self.text.clear(),
                    EventKind::Completed => {
                        assert_eq!(self.running.take(), Some(turn));
                        let text = std::mem::take(&mut self.text);
                        assert_eq!(text, record.expect("the end has the record").shown_text());
                        assert_eq!(self.ended.insert(turn, text), None);
                    }
                    _ => {}
                }
            }
            Told::Text { offset, text, .. } => {
                assert_eq!((sequence, Some(turn)), (self.sequence, self.running));
                assert_eq!(offset as usize, self.text.len(), "a byte is lost or doubled");
                self.text.push_str(&text);
            }
            Told::Live { .. } => assert_eq!(sequence, self.sequence),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Accept,
    Start,
    Text(String),
    Reset,
    Finish(usize),
    Tell(usize),
    Read(usize),
    Reattach,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Accept),
        3 => Just(Step::Start),
        4 => "[a-zé🦀]{1,6}".prop_map(Step::Text),
        1 => Just(Step::Reset),
        2 => (0_usize..4).prop_map(Step::Finish),
        6 => (0_usize..8).prop_map(Step::Tell),
        4 => (1_usize..4).prop_map(Step::Read),
        2 => Just(Step::Reattach),
    ]
}

async fn follow(steps: Vec<Step>) {
    let mut world = World::new().await;
    let mut client = Client::default();
    let mut watch = Box::pin(world.watch(client.past()));
    for step in steps {
        match step {
            Step::Accept => world.accept().await,
            Step::Start => world.start().await,
            Step::Text(text) => world.text(&text),
            Step::Reset => world.reset().await,
            Step::Finish(place) => world.finish(place).await,
            Step::Tell(place) => world.tell(place),
            Step::Read(most) => {
                for _ in 0..most {
                    let next = tokio::time::timeout(Duration::from_millis(2), watch.next()).await;
                    let Ok(Some(told)) = next else { break };
                    client.take(told.unwrap());
                }
            }
            Step::Reattach => watch = Box::pin(world.watch(client.past())),
        }
    }
    for place in 0..world.tasks.len() {
        while world.tasks[place].end.is_none() {
            world.start().await;
            world.finish(0).await;
        }
        world.tell(place);
    }
    let last = world.store.conversation(world.id).await.unwrap().unwrap().last_sequence;
    while client.sequence < last {
        let next = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
        client.take(next.expect("nothing is held back for ever").unwrap().unwrap());
    }
    drop(watch);
    let mut anew = Client::default();
    let mut watch = pin!(world.watch(anew.past()));
    while anew.sequence < last {
        anew.take(watch.next().await.unwrap().unwrap());
    }
    assert_eq!(anew.ended, client.ended, "what is read later is what was seen");
    world.store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_event_and_no_byte_is_lost_or_doubled(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

#[tokio::test]
async fn a_turn_that_came_and_went_while_nobody_looked_is_told_all_the_same() {
    let mut world = World::new().await;
    let mut watch = pin!(world.watch(Past { after_sequence: 0, text_offset: 0 }));
    let mut client = Client::default();
    // It has looked once and waits.
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err());
    for _ in 0..3 {
        world.accept().await;
        world.start().await;
        let place = world.tasks.len() - 1;
        world.tell(place);
        world.text("words");
        world.finish(0).await;
        world.tell(place);
    }
    while client.sequence < 9 {
        client.take(watch.next().await.unwrap().unwrap());
    }
    assert_eq!(client.ended.len(), 3);
}

#[tokio::test]
async fn a_watch_that_was_left_is_held_by_nobody() {
    let mut world = World::new().await;
    world.accept().await;
    world.tell(0);
    let live = Arc::clone(&world.tasks[0].live);
    let before = Arc::strong_count(&live);
    let mut watches: Vec<_> =
        (0..100).map(|_| Box::pin(world.watch(Past { after_sequence: 0, text_offset: 0 }))).collect();
    for watch in &mut watches {
        watch.next().await.unwrap().unwrap();
    }
    assert!(Arc::strong_count(&live) > before);
    drop(watches);
    assert_eq!(Arc::strong_count(&live), before);
}

#[tokio::test]
async fn a_server_that_ends_sends_its_watchers_away() {
    let world = World::new().await;
    let mut watch = pin!(world.watch(Past { after_sequence: 0, text_offset: 0 }));
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err());
    world.hub.close();
    assert!(matches!(watch.next().await, Some(Err(WatchEnd::Closed))));
    assert!(watch.next().await.is_none());
    let mut late = pin!(world.watch(Past { after_sequence: 0, text_offset: 0 }));
    assert!(matches!(late.next().await, Some(Err(WatchEnd::Closed))));
}
