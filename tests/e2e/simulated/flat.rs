//! However much was asked, the server holds what it held: descriptors, processes, memory.

use std::time::Duration;

use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually,
    processes::{descriptors, resident_bytes, zombies_of},
    tools::scale,
};
use tokio::task::JoinSet;

use super::support::{children, completed, playing, start_instance};

/// What a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    processes: usize,
}

fn held(server: &TestServer) -> Held {
    Held { descriptors: descriptors(server.pid()), processes: children(server).len() }
}

/// Waits until the server holds no more than before: connections and processes take a moment to go.
async fn comes_back_to(server: &TestServer, before: Held) {
    eventually(Duration::from_secs(10), &format!("at most {before:?}"), async || {
        let now = held(server);
        (now.descriptors <= before.descriptors && now.processes <= before.processes).then_some(())
    })
    .await;
    assert!(zombies_of(server.pid()).is_empty());
}

async fn ask_many(client: &Client, conversations: &[String], turns_each: usize) {
    let mut asking = JoinSet::new();
    for conversation in conversations {
        let (client, conversation) = (client.clone(), conversation.clone());
        asking.spawn(async move {
            for _ in 0..turns_each {
                completed(client.ask(&conversation, "once more").await.turn());
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
}

#[tokio::test]
async fn turns_leave_no_descriptor_no_process_and_no_memory_behind() {
    let turns_each = scale(25, 250);
    let server = playing("deltas_100").configuration("pool: {max_instances: 4}\n").start().await;
    let client = server.client().await;
    let mut conversations = Vec::new();
    for _ in 0..4 {
        conversations.push(client.new_conversation().await);
    }
    ask_many(&client, &conversations, 10).await;
    let (before, memory) = (held(&server), resident_bytes(server.pid()));
    assert_eq!(before.processes, 8, "a Claude and its reaper for each of four: {:?}", children(&server));
    ask_many(&client, &conversations, turns_each).await;
    comes_back_to(&server, before).await;
    // Measured: 4 KB a turn, its record and events in the store's cache (which is bounded). The bound is twice that and
    // some room for the allocator; a kept process handle, stream or text of each turn would be above it.
    let grown = resident_bytes(server.pid()).saturating_sub(memory);
    let bound = (4 << 20) + (4 * turns_each as u64) * (8 << 10);
    assert!(grown < bound, "memory grew by {grown} bytes in {} turns", 4 * turns_each);
}

#[tokio::test]
async fn starts_and_stops_leave_no_descriptor_no_process_and_no_file_behind() {
    let starts = scale(20, 200);
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let round = async |number: usize| {
        let instance = start_instance(&client, &format!("i{number}")).await;
        completed(client.ask(&instance.conversation_id, "hello").await.turn());
        let request = claude_comms_proto::v1::StopInstanceRequest { id: instance.id, mode: 0 };
        client.instances.clone().stop_instance(request).await.unwrap();
    };
    for number in 0..3 {
        round(number).await;
    }
    let (before, memory) = (held(&server), resident_bytes(server.pid()));
    assert_eq!(before.processes, 0, "{:?}", children(&server));
    for number in 3..starts + 3 {
        round(number).await;
    }
    comes_back_to(&server, before).await;
    let instances = server.data_dir().join("instances");
    eventually(PATIENCE, "the directories of stopped instances are gone", async || {
        (std::fs::read_dir(&instances).unwrap().count() == 0).then_some(())
    })
    .await;
    // Measured: 6.5 KB a start. A stopped instance is remembered (the last 200), and its turn is in the store's cache.
    let grown = resident_bytes(server.pid()).saturating_sub(memory);
    let bound = (4 << 20) + starts as u64 * (16 << 10);
    assert!(grown < bound, "memory grew by {grown} bytes in {starts} starts");
}

#[tokio::test]
async fn watchers_that_leave_and_connections_that_close_are_forgotten() {
    let server = playing("hang").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = super::support::submit_running(&client, &conversation, "x").await;
    let before = held(&server);
    for _ in 0..20 {
        let other = server.client().await;
        for _ in 0..20 {
            let mut heard = super::support::watch(&other, hanging.turn_id(), None, 0).await;
            super::support::first_text(&mut heard).await;
        }
    }
    comes_back_to(&server, before).await;
    super::support::cancel(&client, hanging.turn_id()).await;
}
