//! A backend that fails again and again is left alone for a while, which is told, and used again once it works.

use std::fs;

use claude_comms_proto::v1::{BackendState, GetServerInfoRequest, RetryScope, ServerInfo, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::simulated::support::{
    completed, failed, playing, playing_turns, refused, start_instance, starts, try_start_instance,
    try_submit,
};

const BROKEN: &str = "start:\n  - { stderr: \"simulated: the disk is full\\n\", exit: 1 }\n";

async fn info(client: &Client) -> ServerInfo {
    let request = GetServerInfoRequest::default();
    client.diagnostics.clone().get_server_info(request).await.unwrap().into_inner()
}

async fn state(client: &Client) -> BackendState {
    info(client).await.backend_condition.expect("it is always told").state()
}

/// A scenario that changes while the server runs is what a CLI that is mended looks like.
fn play_from_now_on(server: &TestServer, scenario: &str) {
    fs::write(server.world().root().join("scenario.yaml"), scenario).unwrap();
}

#[tokio::test]
async fn starts_that_fail_one_after_the_other_are_held_back_and_go_on_once_one_works() {
    let server = playing_turns(BROKEN).configuration("retry: { max_attempts: 1 }\n").start().await;
    let client = server.client().await;
    for _ in 0..5 {
        let heard = client.ask(&client.new_conversation().await, "hello").await;
        failed(heard.turn(), "SPAWN_FAILED");
    }
    let conversation = client.new_conversation().await;
    let status =
        refused(try_submit(&client, &conversation, "hello").await, Code::Unavailable, "BACKEND_FAILING");
    let message = status.message();
    assert!(message.contains("exit code 1") && !message.contains("the disk is full"), "{status:?}");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("when to come back");
    assert!(delay.as_secs() <= 60, "{delay:?}");
    refused(try_start_instance(&client, "one").await, Code::Unavailable, "BACKEND_FAILING");
    let condition = info(&client).await.backend_condition.unwrap();
    assert_eq!((condition.state(), condition.failures), (BackendState::Open, 5), "{condition:?}");
    assert!(condition.retry_time.is_some() && condition.reason.contains("the disk is full"), "{condition:?}");
    let shown = server.cli(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("FAILING") && shown.contains("the disk is full"), "{shown}");
    assert!(server.log().contains("no more are started for now"), "{}", server.log());

    play_from_now_on(&server, "turns: []\n");
    let turn = eventually(PATIENCE, "an accepted turn", async || {
        try_submit(&client, &conversation, "hello").await.ok()
    })
    .await;
    completed(&crate::simulated::support::wait(&client, &turn.id).await);
    assert_eq!(state(&client).await, BackendState::Available);
    let shown = server.cli(&["status"]).await.expect(0).stdout;
    assert!(!shown.contains("FAILING"), "{shown}");
    start_instance(&client, "one").await;
}

#[tokio::test]
async fn who_has_a_process_is_served_while_no_other_is_started() {
    let server = playing_turns("turns: []\n").configuration("retry: { max_attempts: 1 }\n").start().await;
    let client = server.client().await;
    let served = start_instance(&client, "one").await.conversation_id;
    play_from_now_on(&server, BROKEN);
    for _ in 0..5 {
        failed(client.ask(&client.new_conversation().await, "hello").await.turn(), "SPAWN_FAILED");
    }
    assert_eq!(state(&client).await, BackendState::Open);
    completed(client.ask(&served, "hello").await.turn());
    let state = state(&client).await;
    assert_ne!(state, BackendState::Available, "a process that was there before says nothing of new ones");
}

#[tokio::test]
async fn starts_go_on_as_soon_as_the_one_let_through_has_begun_to_answer() {
    let server = playing_turns(BROKEN).configuration("retry: { max_attempts: 1 }\n").start().await;
    let client = server.client().await;
    for _ in 0..5 {
        failed(client.ask(&client.new_conversation().await, "hello").await.turn(), "SPAWN_FAILED");
    }
    play_from_now_on(&server, "turns:\n  - { when: { equals: long }, steps: [{ text: begun }, hang] }\n");
    let conversation = client.new_conversation().await;
    eventually(PATIENCE, "the turn that decides", async || {
        try_submit(&client, &conversation, "long").await.ok()
    })
    .await;
    // It does not end, and yet others are served.
    let other = client.new_conversation().await;
    let turn = eventually(PATIENCE, "another accepted turn", async || {
        try_submit(&client, &other, "hello").await.ok()
    })
    .await;
    completed(&crate::simulated::support::wait(&client, &turn.id).await);
    assert_eq!(state(&client).await, BackendState::Available);
}

#[tokio::test]
async fn a_start_that_fails_once_is_tried_again_unseen() {
    let server = playing("exit_at_start_once").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    completed(heard.turn());
    assert_eq!((heard.turn().attempt, starts(&heard)), (1, 1), "it reached one process");
}

#[tokio::test]
async fn without_a_budget_nothing_is_tried_again() {
    let server = playing("crash_before_output_once").configuration("retry: { budget: 0 }\n").start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    failed(heard.turn(), "PROCESS_DIED");
    let retried = heard
        .events
        .iter()
        .any(|event| matches!(&event.event, Some(Event::Retrying(r)) if r.scope() == RetryScope::Process));
    assert!(!retried && heard.turn().attempt == 1, "{heard:?}");
    assert!(server.log().contains("retry.budget"), "{}", server.log());
}

#[tokio::test]
async fn deaths_before_the_answer_open_the_circuit_too() {
    let server = playing("crash_before_output").configuration("retry: { max_delay: 10ms }\n").start().await;
    let client = server.client().await;
    let one = client.ask(&client.new_conversation().await, "hello").await;
    failed(one.turn(), "PROCESS_DIED");
    // Its third attempt waits until one more process is let through to see.
    let two = client.ask(&client.new_conversation().await, "hello").await;
    failed(two.turn(), "PROCESS_DIED");
    assert_eq!((one.turn().attempt, two.turn().attempt), (3, 3));
    let conversation = client.new_conversation().await;
    refused(try_submit(&client, &conversation, "hello").await, Code::Unavailable, "BACKEND_FAILING");
}
