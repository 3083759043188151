//! The queue: what waits is told its place, what is refused when to come back, and nobody fills it for all.

use std::time::Duration;

use claude_comms_proto::v1::{SubmitMessageRequest, TurnQueued, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, client::Heard, eventually, within};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::{SOURCES, of, slow_turns, submit_of};
use crate::simulated::{
    modules::support::{try_query, try_submit_query},
    support::{
        HANG_ON_REQUEST, cancel, completed, failed, first_text, playing_turns, refused, submit, try_submit,
        wait, watch,
    },
};

fn retry_delay(status: &Status) -> Duration {
    let details = status.get_error_details();
    details.retry_info().and_then(|info| info.retry_delay).expect("it says when to come back")
}

/// Keeps the one instance busy.
async fn hang(client: &Client) -> Heard {
    let conversation = client.new_conversation().await;
    let mut heard = client.send(&conversation, "hang").await.unwrap();
    first_text(&mut heard).await;
    heard
}

/// The next place that is told.
async fn place(heard: &mut Heard) -> TurnQueued {
    match heard.until(|event| matches!(event, Event::Queued(_))).await.event {
        Some(Event::Queued(queued)) => queued,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn who_waits_is_told_its_place_as_the_queue_moves() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool: { max_instances: 1 }\n").start().await;
    let client = server.client().await;
    let mut hanging = hang(&client).await;
    let (first, second) = (client.new_conversation().await, client.new_conversation().await);
    let before = [submit(&client, &first, "a").await, submit(&client, &first, "b").await];
    let last = submit(&client, &second, "c").await;

    let mut heard = watch(&client, &last.id, None, 0).await;
    let told = place(&mut heard).await;
    assert_eq!((told.position, told.ahead, told.waits_for.as_str()), (0, 1, "instance"));
    let mut behind = watch(&client, &before[1].id, None, 0).await;
    let told = place(&mut behind).await;
    assert_eq!((told.position, told.waits_for.as_str()), (1, "conversation"));

    cancel(&client, &before[0].id).await;
    let told = place(&mut behind).await;
    assert_eq!((told.position, told.waits_for.as_str()), (0, "instance"));
    let told = place(&mut heard).await;
    assert_eq!((told.position, told.ahead), (0, 0), "the one behind came new to the front");
    cancel(&client, hanging.turn_id()).await;
    hanging.to_end().await;
    heard.to_end().await;
    behind.to_end().await;
    assert!(completed(heard.turn()).contains("\"c\"") && completed(behind.turn()).contains("\"b\""));
}

#[tokio::test]
async fn who_waits_as_told_after_a_refusal_gets_in() {
    let server = playing_turns(&slow_turns(400))
        .configuration("pool: { max_instances: 1, max_queue: 1 }\n")
        .start()
        .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for _ in 0..2 {
        let turn = submit(&client, &conversation, "the server learns how long turns take").await;
        wait(&client, &turn.id).await;
    }
    for round in 0..3 {
        let running = submit(&client, &conversation, "runs").await;
        let waiting = submit(&client, &conversation, "waits").await;
        let status = refused(
            try_submit(&client, &conversation, "too many").await,
            Code::ResourceExhausted,
            "QUEUE_FULL",
        );
        let delay = retry_delay(&status);
        assert!(delay >= Duration::from_millis(100) && delay < Duration::from_secs(20), "{delay:?}");
        // What the server says is what a client does.
        tokio::time::sleep(delay).await;
        let late = try_submit(&client, &conversation, "as told").await;
        let late = late.unwrap_or_else(|status| panic!("round {round}, after {delay:?}: {status:?}"));
        for id in [&running.id, &waiting.id, &late.id] {
            completed(&wait(&client, id).await);
        }
    }
}

#[tokio::test]
async fn the_time_of_a_turn_is_over_while_it_waits_under_load() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool: { max_instances: 1 }\n").start().await;
    let client = server.client().await;
    let hanging = hang(&client).await;
    let mut others = Vec::new();
    for number in 0..20 {
        others.push(submit_of(&client, SOURCES[number % 3], "waits").await.id);
    }
    let request = SubmitMessageRequest {
        conversation_id: client.new_conversation().await,
        prompt: "in a hurry".into(),
        timeout: Some(prost_types::Duration { seconds: 0, nanos: 200_000_000 }),
        ..Default::default()
    };
    let hurried = within("accepted", client.conversations.clone().submit_message(request)).await.unwrap();
    let ended = wait(&client, &hurried.into_inner().id).await;
    failed(&ended, "TURN_TIMEOUT");
    assert_eq!((ended.attempt, ended.in_context), (0, false), "it never reached a process");
    cancel(&client, hanging.turn_id()).await;
    for id in others {
        completed(&wait(&client, &id).await);
    }
}

#[tokio::test]
async fn a_module_that_fills_the_queue_shuts_nobody_out() {
    let server = playing_turns(HANG_ON_REQUEST)
        .configuration("pool: { max_instances: 1, max_queue: 8 }\n")
        .start()
        .await;
    let client = server.client().await;
    let mut hanging = try_query(&client, of(SOURCES[1], "hang")).await.unwrap();
    first_text(&mut hanging).await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(submit_of(&client, SOURCES[1], "noise").await.id);
    }
    let noise = async || try_submit_query(&client, of(SOURCES[1], "noise")).await;
    refused(noise().await, Code::ResourceExhausted, "QUEUE_FULL");
    // Who has nothing in it gets a question in, although it is full.
    waiting.push(submit_of(&client, SOURCES[2], "one question").await.id);
    let status = refused(
        try_submit_query(&client, of(SOURCES[2], "another")).await,
        Code::ResourceExhausted,
        "QUEUE_FULL",
    );
    assert!(status.message().contains("pool.max_queue (8)"), "{status:?}");
    assert!(retry_delay(&status) > Duration::ZERO);
    // And from then on it has its share of every place that becomes free, also while the noise goes on.
    for id in waiting.drain(0..2).collect::<Vec<_>>() {
        cancel(&client, &id).await;
    }
    refused(noise().await, Code::ResourceExhausted, "QUEUE_FULL");
    let taken = eventually(PATIENCE, "room for the other", async || {
        try_submit_query(&client, of(SOURCES[2], "another")).await.ok()
    })
    .await;
    cancel(&client, hanging.turn_id()).await;
    for id in waiting.into_iter().chain([taken.id]) {
        completed(&wait(&client, &id).await);
    }
}
