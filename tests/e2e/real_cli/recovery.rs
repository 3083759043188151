//! What the API cannot take, a process that stands still and a memory that is gone, with the real CLI.

use std::fs;

use claude_comms_proto::v1::{RetryScope, turn_event::Event};
use claude_comms_tests::{Gate, Reply, client::Heard, processes};
use rustix::process::Signal;

use super::stage::{Stage, assert_answer, assert_failed, hear_text};

/// The retries of a turn by the server.
fn retries(heard: &Heard) -> Vec<(RetryScope, String, i32)> {
    let retries = heard.events.iter().filter_map(|event| match event.event.as_ref() {
        Some(Event::Retrying(retry)) if retry.scope() != RetryScope::Api => {
            Some((retry.scope(), retry.reason.clone(), retry.http_status))
        }
        _ => None,
    });
    retries.collect()
}

fn reset(heard: &Heard) -> Option<String> {
    heard.events.iter().find_map(|event| match event.event.as_ref() {
        Some(Event::SessionReset(reset)) => Some(reset.reason.clone()),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_that_outlasts_the_cli_s_retries_is_waited_out_and_the_prompt_is_sent_once() {
    let stage = Stage::with(|builder| builder.configuration("retry: { max_delay: 100ms }\n")).await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    for _ in 0..2 {
        stage.api.queue(Reply::error(529));
    }
    let heard = stage.client.ask(&conversation, "two").await;
    assert_answer(&heard, "two");
    assert_eq!(heard.turn().attempt, 2);
    assert_eq!(retries(&heard), [(RetryScope::Turn, "API_OVERLOADED".to_owned(), 529)]);
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    assert_answer(&stage.client.ask(&conversation, "three").await, "three");
    assert_eq!(stage.last_request_users(), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_without_end_fails_the_turn_after_its_attempts() {
    let stage =
        Stage::with(|builder| builder.configuration("retry: { max_attempts: 2, max_delay: 100ms }\n")).await;
    let conversation = stage.client.new_conversation().await;
    stage.api.always_for("hopeless", Reply::error(529));
    let heard = stage.client.ask(&conversation, "hopeless").await;
    assert_failed(heard.turn(), "API_OVERLOADED");
    assert_eq!((heard.turn().attempt, stage.api.requests().len()), (2, 4), "two calls an attempt");
    assert_answer(&stage.client.ask(&conversation, "well").await, "well");
}

/// CLI 2.1.330 gives up at once when the API says to come back in an hour, and does not tell how long that is.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_that_lasts_fails_the_turn_after_its_attempts_and_not_in_an_hour() {
    let stage = Stage::with(|builder| builder.configuration("retry: { max_delay: 100ms }\n")).await;
    let conversation = stage.client.new_conversation().await;
    stage.api.always_for("limited", Reply::rate_limited(3600));
    let heard = stage.client.ask(&conversation, "limited").await;
    assert_failed(heard.turn(), "RATE_LIMITED");
    assert_eq!(heard.turn().attempt, 3);
    assert_answer(&stage.client.ask(&conversation, "well").await, "well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_too_long_for_the_model_goes_on_from_the_records() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    stage.api.always_for("</history>", Reply::text("told anew"));
    stage.api.always_for("two", Reply::prompt_too_long());
    let heard = stage.client.ask(&conversation, "two").await;
    println!("{heard:#?}");
    let reason = reset(&heard).expect("the new session is told");
    assert!(reason.contains("records of 1 turn"), "{reason}");
    assert_answer(&heard, "told anew");
    let users = stage.last_request_users();
    assert!(users.len() == 1 && users[0].contains("asked: one\nanswered: one\n"), "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_whose_transcript_is_gone_goes_on_from_the_records() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    for prompt in ["one", "two"] {
        assert_answer(&stage.client.ask(&conversation, prompt).await, prompt);
    }
    stage.kill_claude().await;
    stage.await_no_instance().await;
    fs::remove_file(stage.server.data_dir().join("transcripts").join(format!("{conversation}.jsonl")))
        .unwrap();
    stage.api.queue(Reply::text("I remember"));
    let heard = stage.client.ask(&conversation, "three").await;
    assert_answer(&heard, "I remember");
    let reason = reset(&heard).expect("the loss is told");
    assert!(reason.contains("rebuilt from the records of 2 turns"), "{reason}");
    let users = stage.last_request_users();
    assert_eq!(users.len(), 1, "{users:?}");
    assert!(users[0].contains("asked: two\nanswered: two\n") && users[0].ends_with("three"), "{users:?}");
    assert_answer(&stage.client.ask(&conversation, "four").await, "four");
    assert_eq!(stage.last_request_users().len(), 2, "it remembers again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_that_somebody_stopped_before_its_first_word_is_replaced() {
    let stage = Stage::with(|builder| builder.configuration("pool: { health_interval: 200ms }\n")).await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let (gate, claude) = (Gate::new(), stage.claude_pid());
    stage.api.queue(Reply::echo().held_at_head(&gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    gate.arrived(1).await;
    processes::signal(claude, Signal::STOP);
    heard.to_end().await;
    assert_answer(&heard, "two");
    assert_eq!(retries(&heard), [(RetryScope::Process, "PROCESS_STALLED".to_owned(), 0)]);
    assert!(!processes::is_alive(claude));
    assert_eq!(stage.last_request_users(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_that_falls_silent_in_its_answer_is_interrupted_and_ends_its_turn() {
    let stage = Stage::with(|builder| builder.configuration("pool: { silence_timeout: 2s }\n")).await;
    let conversation = stage.client.new_conversation().await;
    stage.api.queue(Reply::tokens(5).hang_after(2));
    let mut heard = stage.client.send(&conversation, "one").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    heard.to_end().await;
    assert_failed(heard.turn(), "PROCESS_STALLED");
    assert_eq!(heard.turn().partial_text, "tok0 tok1 ");
    assert_answer(&stage.client.ask(&conversation, "two").await, "two");
}
