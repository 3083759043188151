//! Memory: how many instances it allows, and what happens when it runs short.

use std::{fs, time::Duration};

use claude_comms_proto::v1::{GetServerInfoRequest, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually, processes};
use rustix::process::Signal;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::simulated::support::{
    HANG_ON_REQUEST, cancel, completed, first_text, playing_turns, refused, start_instance, submit,
    try_start_instance, try_submit, wait, watch,
};

/// Keeps more free than any machine has.
fn too_much(max_instances: usize) -> String {
    format!("pool: {{ max_instances: {max_instances}, memory_reserve: 900TiB }}\n")
}

fn reload(server: &TestServer, yaml: &str) {
    fs::write(server.world().root().join("claude-comms.yaml"), yaml).unwrap();
    processes::signal(server.pid(), Signal::HUP);
}

async fn is_short(server: &TestServer, short: bool) {
    eventually(PATIENCE, "memory is looked at", async || {
        let shown = server.cli(&["status"]).await.expect(0).stdout;
        (shown.contains("SHORT") == short).then_some(())
    })
    .await;
}

async fn max_instances(client: &Client) -> (u32, String) {
    let info =
        client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
    (info.max_instances, info.max_instances_reason)
}

#[tokio::test]
async fn the_number_of_instances_is_derived_from_memory_and_its_reason_is_told() {
    let server = TestServer::simulated().configuration("pool: { max_queue: 7 }\n").start().await;
    let client = server.client().await;
    let (count, reason) = max_instances(&client).await;
    assert!((1..=64).contains(&count) && reason.contains(" each"), "{count} {reason}");
    let status = server.cli(&["status"]).await.expect(0).stdout;
    assert!(status.contains(&format!("0 of {count} ({reason})")), "{status}");
    let config = server.cli(&["config"]).await.expect(0).stdout;
    assert!(config.contains(" each"), "{config}");
    assert!(server.log().contains("max_instances_reason"), "{}", server.log());
    reload(&server, "pool: { max_queue: 7, max_instances: 3 }\n");
    eventually(PATIENCE, "the new number", async || {
        (max_instances(&client).await == (3, "pool.max_instances".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn below_the_reserve_nothing_starts_idle_instances_end_and_warm_ones_go_on() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool: { max_instances: 3 }\n").start().await;
    let client = server.client().await;
    let pinned = start_instance(&client, "kept").await;
    let idle = client.new_conversation().await;
    completed(client.ask(&idle, "remember me").await.turn());
    let busy = client.new_conversation().await;
    let mut hanging = client.send(&busy, "hang").await.unwrap();
    first_text(&mut hanging).await;
    let queued = submit(&client, &busy, "behind it").await;

    reload(&server, &too_much(3));
    is_short(&server, true).await;
    eventually(PATIENCE, "the idle instance ends", async || {
        (server.processes().claudes().len() == 2).then_some(())
    })
    .await;
    let other = client.new_conversation().await;
    for conversation in [&other, &idle] {
        let status = refused(
            try_submit(&client, conversation, "needs a process").await,
            Code::ResourceExhausted,
            "MEMORY_PRESSURE",
        );
        let delay = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert!(delay.is_some_and(|delay| delay >= Duration::from_secs(1)), "{status:?}");
        assert!(status.message().contains("pool.memory_reserve"), "{status:?}");
    }
    refused(try_start_instance(&client, "more").await, Code::ResourceExhausted, "MEMORY_PRESSURE");
    completed(client.ask(&pinned.conversation_id, "a warm one goes on").await.turn());
    cancel(&client, hanging.turn_id()).await;
    completed(&wait(&client, &queued.id).await);

    reload(&server, "pool: { max_instances: 3, memory_reserve: 1MiB }\n");
    is_short(&server, false).await;
    let text = completed(client.ask(&idle, "and?").await.turn()).to_owned();
    assert!(text.contains("The one before asked: \"remember me\""), "{text}");
    completed(client.ask(&other, "now").await.turn());
}

#[tokio::test]
async fn what_is_queued_waits_for_memory_and_says_so() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool: { max_instances: 1 }\n").start().await;
    let client = server.client().await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    let mut hanging = client.send(&one, "hang").await.unwrap();
    first_text(&mut hanging).await;
    let waiting = submit(&client, &other, "waits").await;
    let mut heard = watch(&client, &waiting.id, None, 0).await;
    reload(&server, &too_much(1));
    heard.until(|event| matches!(event, Event::Queued(queued) if queued.waits_for == "memory")).await;
    cancel(&client, hanging.turn_id()).await;
    hanging.to_end().await;
    reload(&server, "pool: { max_instances: 1, memory_reserve: 1MiB }\n");
    heard.to_end().await;
    completed(heard.turn());
}
