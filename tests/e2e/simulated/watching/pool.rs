//! WatchPool: all instances first, then what changes; who is slow is told what it did not see.

use std::collections::BTreeMap;

use claude_comms_proto::v1::{Instance, InstanceState, PoolCounts, PoolSnapshot, WatchPoolRequest};
use claude_comms_tests::{Client, TestServer, client::reason, within};
use tokio::task::JoinSet;
use tonic::{Code, Streaming};

use super::{
    super::support::{HANG_ON_REQUEST, playing_turns, start_instance, submit_running},
    support::{ask, stop},
};

/// A watcher, and the pool as it knows it.
struct Watcher {
    stream: Streaming<PoolSnapshot>,
    pool: BTreeMap<String, Instance>,
    counts: PoolCounts,
    messages: Vec<PoolSnapshot>,
}

impl Watcher {
    async fn new(client: &Client) -> Self {
        let stream = client.instances.clone().watch_pool(WatchPoolRequest {}).await.unwrap().into_inner();
        Self { stream, pool: BTreeMap::new(), counts: PoolCounts::default(), messages: Vec::new() }
    }

    /// Reads one whole snapshot.
    async fn next(&mut self) {
        loop {
            let message = within("a snapshot", self.stream.message()).await.unwrap();
            let message = message.expect("the pool has no end");
            if let Some(last) = self.messages.last() {
                assert!(message.version >= last.version, "{message:?} after {last:?}");
                if message.full && !last.continues {
                    self.pool.clear();
                }
            } else {
                assert!(message.full, "the first is full: {message:?}");
            }
            for id in &message.removed_ids {
                assert!(self.pool.remove(id).is_some(), "it was never there: {message:?}");
            }
            for instance in &message.instances {
                self.pool.insert(instance.id.clone(), instance.clone());
            }
            self.counts = message.counts.clone().expect("all messages count");
            self.messages.push(message.clone());
            if !message.continues {
                return;
            }
        }
    }

    async fn until(&mut self, fits: impl Fn(&Self) -> bool) {
        while !fits(self) {
            self.next().await;
        }
    }

    fn state(&self, id: &str) -> Option<InstanceState> {
        self.pool.get(id).map(Instance::state)
    }
}

#[tokio::test]
async fn the_pool_is_told_whole_and_then_what_changes() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let first = start_instance(&client, "first").await;
    let mut watcher = Watcher::new(&client).await;
    watcher.next().await;
    assert_eq!(watcher.state(&first.id), Some(InstanceState::Idle));
    assert_eq!(watcher.pool.len(), 1);
    let second = start_instance(&client, "second").await;
    watcher.until(|pool| pool.state(&second.id) == Some(InstanceState::Idle)).await;
    assert!(!watcher.messages.last().unwrap().full);

    let turn = ask(&client, &first.id, "count me").await;
    watcher.until(|pool| pool.pool[&first.id].turn_count == 1 && pool.counts.idle == 2).await;
    let seen = &watcher.pool[&first.id];
    assert_eq!((seen.usage, seen.state()), (turn.usage, InstanceState::Idle));
    assert_eq!((watcher.counts.completed_turns, watcher.counts.running_turns), (1, 0));

    let hanging = submit_running(&client, &first.conversation_id, "hang").await;
    watcher.until(|pool| pool.counts.busy == 1 && pool.counts.running_turns == 1).await;
    assert_eq!(watcher.state(&first.id), Some(InstanceState::Busy));
    stop(&client, &first.id).await;
    watcher.until(|pool| !pool.pool.contains_key(&first.id) && pool.counts.cancelled_turns == 1).await;
    assert_eq!((watcher.pool.len(), watcher.counts.idle, watcher.counts.busy), (1, 1, 0));
    assert_eq!(watcher.counts.dropped_events, 0);
    drop(hanging);
}

#[tokio::test]
async fn many_instances_come_in_several_messages() {
    const INSTANCES: usize = 60;
    let server =
        TestServer::simulated().configuration(format!("pool:\n  max_instances: {INSTANCES}\n")).start().await;
    let client = server.client().await;
    let mut starts = JoinSet::new();
    for number in 0..INSTANCES {
        let client = client.clone();
        starts.spawn(async move { start_instance(&client, &format!("i{number}")).await.id });
    }
    let mut ids = starts.join_all().await;
    ids.sort_unstable();
    let mut watcher = Watcher::new(&client).await;
    watcher.next().await;
    assert_eq!(watcher.pool.keys().cloned().collect::<Vec<_>>(), ids);
    let messages: Vec<_> =
        watcher.messages.iter().map(|m| (m.full, m.instances.len(), m.continues)).collect();
    assert_eq!(messages, [(true, 50, true), (true, 10, false)]);
    assert_eq!((watcher.counts.idle, watcher.counts.slots), (60, 60));
}

#[tokio::test]
async fn who_is_slow_sees_the_end_and_is_told_how_much_it_missed() {
    const TURNS: u32 = 40;
    // A check of its health would be a change, too.
    let server = TestServer::simulated().configuration("pool:\n  health_interval: 1h\n").start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "busy").await;
    let mut watcher = Watcher::new(&client).await;
    watcher.next().await;
    for _ in 0..TURNS {
        ask(&client, &instance.id, "go").await;
    }
    watcher.until(|pool| pool.pool[&instance.id].turn_count == TURNS && pool.counts.idle == 1).await;
    let later = &watcher.messages[1..];
    let told: u64 = later.iter().map(|message| message.instances.len() as u64).sum();
    let merged: u64 = later.iter().map(|message| message.merged_changes).sum();
    // Busy, counted, idle: three changes a turn, seen or told as merged.
    assert_eq!(told + merged, u64::from(TURNS) * 3, "{told} told, {merged} merged");
    assert!(merged > 0, "{told} told");
    assert!(watcher.counts.merged_changes >= merged);
}

#[tokio::test]
async fn a_server_that_ends_sends_its_watchers_away() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    let mut watcher = Watcher::new(&client).await;
    watcher.next().await;
    let (ran, status) = tokio::join!(server.terminate(), async {
        loop {
            if let Err(status) = within("the end of the stream", watcher.stream.message()).await {
                return status;
            }
        }
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DRAINING"), "{status:?}");
}
