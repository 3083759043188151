//! Warm spares: processes that wait for new conversations. Who gets one, how many there are, and what their faults cost.

mod faults;
mod making;
mod using;

use std::fs;

use claude_comms_proto::v1::{Instance, InstanceState, ListInstancesRequest, PoolCounts, WatchPoolRequest};
use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually, processes, server::Builder, within, world::World,
};
use rustix::process::Signal;

/// A server with one spare, or what the YAML of `pool` says.
fn with_spares(pool: &str) -> Builder {
    TestServer::simulated().warm_spares(1).configuration(configuration(pool))
}

/// As a file's content; spares follow each other fast.
fn configuration(pool: &str) -> String {
    format!("pool: {{start_stagger: 20ms, {pool}}}\n")
}

async fn instances(client: &Client) -> Vec<Instance> {
    let request = ListInstancesRequest::default();
    client.instances.clone().list_instances(request).await.unwrap().into_inner().instances
}

/// The spares that wait.
async fn spares(client: &Client) -> Vec<Instance> {
    let mut all = instances(client).await;
    all.retain(|instance| instance.spare && instance.state() == InstanceState::Idle);
    all
}

/// Waits for so many spares.
async fn ready(client: &Client, count: usize) -> Vec<Instance> {
    eventually(PATIENCE, &format!("{count} spares"), async || {
        let spares = spares(client).await;
        (spares.len() == count).then_some(spares)
    })
    .await
}

/// Waits for a spare that is another than this one.
async fn another(client: &Client, than: &Instance) -> Instance {
    eventually(PATIENCE, "another spare", async || {
        spares(client).await.into_iter().find(|spare| spare.id != than.id)
    })
    .await
}

/// The instance that serves a conversation.
async fn serving(client: &Client, conversation: &str) -> Option<Instance> {
    instances(client).await.into_iter().find(|instance| instance.conversation_id == conversation)
}

/// What the pool says of itself.
async fn counts(client: &Client) -> PoolCounts {
    let watch = client.instances.clone().watch_pool(WatchPoolRequest::default()).await.unwrap();
    let first = within("a snapshot", watch.into_inner().message()).await.unwrap().unwrap();
    first.counts.expect("a snapshot counts")
}

fn reload(server: &TestServer, yaml: &str) {
    fs::write(file_of(server.world()), yaml).unwrap();
    processes::signal(server.pid(), Signal::HUP);
}

fn file_of(world: &World) -> std::path::PathBuf {
    world.root().join("claude-comms.yaml")
}
