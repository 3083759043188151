//! A drain: nothing new is taken, what runs may end, what waits stays, and then the server is gone.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::{
    DrainRequest, GetServerInfoRequest, InstanceState, ServerInfo, StartInstanceRequest, TurnState,
};
use claude_comms_tests::{Client, PATIENCE, Ran, TestServer, eventually, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::support::{
    TURNS, await_state, await_stopped, instance, pause, try_interrupt, try_pause, try_resume,
};
use crate::simulated::support::{
    bad_input, cancelled, completed, get, playing_turns, refused, start_instance, submit, submit_running,
    try_submit, wait,
};

async fn try_drain(client: &Client, timeout: Option<prost_types::Duration>) -> Result<ServerInfo, Status> {
    within("the answer to a drain", client.diagnostics.clone().drain(DrainRequest { timeout }))
        .await
        .map(tonic::Response::into_inner)
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn health(client: &Client) -> ServingStatus {
    let request = HealthCheckRequest { service: String::new() };
    client.health.clone().check(request).await.unwrap().into_inner().status()
}

/// Waits for a server that ends by itself; it must exit 0.
async fn gone(server: &mut TestServer) {
    assert_eq!(server.ended().await.code, Some(0), "{}", server.log());
    server.processes().await_gone().await;
}

#[tokio::test]
async fn running_turns_end_queued_ones_stay_and_new_ones_are_refused() {
    let mut server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let busy = start_instance(&client, "busy").await;
    let paused = start_instance(&client, "paused").await;
    let mut running = submit_running(&client, &busy.conversation_id, "slow").await;
    let queued = submit(&client, &busy.conversation_id, "queued").await;
    let mut held = submit_running(&client, &paused.conversation_id, "slow").await;
    let held_back = submit(&client, &paused.conversation_id, "held back").await;
    pause(&client, "paused").await;
    completed(held.to_end().await);
    await_state(&client, "paused", InstanceState::Paused).await;
    await_stopped(paused.process_id).await;
    let mut running_on = submit_running(&client, &client.new_conversation().await, "slow").await;

    let info = try_drain(&client, None).await.unwrap();
    assert!(info.draining, "{info:?}");
    assert_eq!(health(&client).await, ServingStatus::NotServing);
    let refusal =
        refused(try_submit(&client, &busy.conversation_id, "new").await, Code::Unavailable, "DRAINING");
    assert!(refusal.message().contains("shutting down"), "{refusal:?}");
    refused(try_pause(&client, "busy").await, Code::Unavailable, "DRAINING");
    refused(try_resume(&client, "paused").await, Code::Unavailable, "DRAINING");
    let start = client.instances.clone().start_instance(StartInstanceRequest::default()).await;
    refused(start, Code::Unavailable, "DRAINING");
    // Again, and with a longer time: it is as it was.
    assert!(try_drain(&client, seconds(600)).await.unwrap().draining);

    completed(running.to_end().await);
    completed(running_on.to_end().await);
    gone(&mut server).await;

    server.restart().await;
    let client = server.client().await;
    completed(&wait(&client, &queued.id).await);
    completed(&wait(&client, &held_back.id).await);
    assert_eq!(instance(&client, "paused").await.process_generation, 2, "it was paused and is not any more");
}

#[tokio::test]
async fn turns_that_take_too_long_are_cancelled_and_a_second_call_brings_that_forward() {
    let mut server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = submit_running(&client, &conversation, "hang").await;
    let begin = Instant::now();
    try_drain(&client, seconds(3600)).await.unwrap();
    assert_eq!(get(&client, running.turn_id()).await.state(), TurnState::Running);
    try_drain(&client, seconds(0)).await.unwrap();
    let turn = running.turn_id().to_owned();
    gone(&mut server).await;
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    server.restart().await;
    cancelled(&get(&server.client().await, &turn).await, "SERVER_SHUTDOWN");
}

#[tokio::test]
async fn a_turn_can_be_interrupted_or_cancelled_while_the_server_drains() {
    let mut server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let busy = start_instance(&client, "busy").await;
    let mut running = submit_running(&client, &busy.conversation_id, "hang").await;
    let queued = submit(&client, &busy.conversation_id, "queued").await;
    try_drain(&client, None).await.unwrap();
    cancelled(&crate::simulated::support::cancel(&client, &queued.id).await, "CANCEL_REQUESTED");
    try_interrupt(&client, "busy").await.unwrap();
    cancelled(running.to_end().await, "INSTANCE_INTERRUPTED");
    gone(&mut server).await;
}

#[tokio::test]
async fn a_signal_during_a_drain_is_as_one_without_it() {
    let mut server = playing_turns(TURNS).configuration("pool: { drain_timeout: 100ms }\n").start().await;
    let client = server.client().await;
    submit_running(&client, &client.new_conversation().await, "hang").await;
    try_drain(&client, seconds(3600)).await.unwrap();
    let begin = Instant::now();
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_negative_time_is_refused_and_nothing_drains() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    bad_input(try_drain(&client, seconds(-1)).await, &["timeout"]);
    let info = client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    assert!(!info.into_inner().draining);
}

#[tokio::test]
async fn the_command_says_what_still_runs_and_ends_with_the_server() {
    let mut server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let busy = start_instance(&client, "busy").await;
    let running = submit_running(&client, &busy.conversation_id, "hang").await;
    let short = running.turn_id()[28..].to_owned();
    let mut child =
        server.cli_command(&["drain", "--drain-timeout", "1h", "--output", "json"]).spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = within("a note", notes.next_line()).await.unwrap().unwrap();
    assert!(note.contains("running turns: 1") && note.contains(&short), "{note}");
    let refused = server.cli(&["query-instance", "--id", "busy", "new"]).await.expect(3);
    assert!(refused.stderr.contains("DRAINING"), "{refused:?}");
    let status = server.cli(&["status"]).await.expect(0);
    assert!(status.stdout.contains("draining"), "{}", status.stdout);
    let _ = server.cli(&["interrupt-instance", "--id", "busy"]).await.expect(0);
    while let Some(line) = within("the notes", notes.next_line()).await.unwrap() {
        assert!(!line.contains("error"), "{line}");
    }
    let ran: Ran = within("its end", child.wait_with_output()).await.unwrap().into();
    assert_eq!(ran.expect(0).json()["draining"], true);
    gone(&mut server).await;
    let none = server.cli(&["drain"]).await.expect(3);
    assert!(none.stderr.contains("start one with"), "{none:?}");
}

#[tokio::test]
async fn the_command_need_not_wait_and_can_be_left() {
    let mut server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = submit_running(&client, &conversation, "hang").await;
    let ran = server.cli(&["drain", "--drain-timeout", "1h", "--no-wait"]).await.expect(0);
    assert!(ran.stdout.contains("draining"), "{}", ran.stdout);
    let left = server.cli(&["drain", "--timeout", "1s"]).await.expect(124);
    assert!(left.stderr.contains("goes on draining"), "{left:?}");
    eventually(PATIENCE, "its shorter time is heard", async || {
        server.log().contains("draining faster").then_some(())
    })
    .await;
    let _ = server.cli(&["cancel-turn", "--id", running.turn_id()]).await.expect(0);
    gone(&mut server).await;
}
