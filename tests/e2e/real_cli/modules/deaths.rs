//! `kill -9` of the CLI or the server while data are asked for once more: one end, and the conversation goes on.

use claude_comms_proto::v1::{TurnState, turn_event::Event};
use claude_comms_tests::{Gate, PATIENCE, Reply, client::Heard, eventually, processes};
use rustix::process::Signal;

use super::{
    asking::{answer, data, further, marker_asks_arangodb},
    repair::demanding_n,
};
use crate::real_cli::stage::{Stage, assert_answer, assert_failed, count, hear_text, is_terminal};

/// A turn of which the second answer is held back.
async fn asked_once_more(stage: &Stage, second: Reply) -> Heard {
    stage.api.queue(data(r#"{"m": 1}"#));
    stage.api.queue(second);
    let mut heard = stage.open(demanding_n(marker_asks_arangodb("one"))).await;
    heard.until(|event| matches!(event, Event::TextReset(reset) if reset.reason == "repair")).await;
    stage.api.wait_for_requests(2).await;
    heard
}

fn conversation(heard: &Heard) -> String {
    let accepted = heard.events.iter().find_map(|event| match event.event.as_ref() {
        Some(Event::Accepted(accepted)) => Some(accepted.conversation_id.clone()),
        _ => None,
    });
    accepted.expect("the first event of every turn")
}

/// The next turn is answered, and what the record calls remembered is told.
async fn goes_on(stage: &Stage, heard: &Heard, calls: usize) {
    let turn = stage.turn(heard.turn_id()).await;
    stage.api.queue(Reply::text("two"));
    let next = stage.query_module(further(&conversation(heard), "two?")).await;
    assert_answer(&next, "two");
    assert_eq!(stage.api.requests().len(), calls + 1, "nothing is asked again by itself");
    let last = stage.request(calls);
    let users = last.user_texts();
    assert_eq!(users.contains(&turn.message), turn.in_context, "{users:?}");
    assert_eq!(users.last(), Some(&next.turn().message));
    assert!(last.assistant_texts().contains(&answer(r#"{"m": 1}"#)), "{:?}", last.assistant_texts());
    assert_eq!(stage.turn(&turn.id).await, turn, "an end is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_killed_before_its_second_answer_ends_the_turn_once() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    let mut heard = asked_once_more(&stage, data(r#"{"n": 1}"#).held_at_head(&gate)).await;
    gate.arrived(1).await;
    stage.kill_claude().await;
    heard.to_end().await;
    assert_failed(heard.turn(), "PROCESS_DIED");
    assert_eq!((heard.turn().partial_text.as_str(), heard.turn().data_json.as_str()), ("", ""));
    assert_eq!(heard.turn().usage.unwrap().input_tokens, 10, "the first answer was paid for");
    let kept = stage.watch(heard.turn_id()).await;
    assert_eq!((count(&heard, is_terminal), count(&kept, is_terminal)), (1, 1));
    goes_on(&stage, &heard, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_killed_in_its_second_answer_leaves_what_it_had_said() {
    let stage = Stage::new().await;
    let gate = Gate::new();
    let mut heard = asked_once_more(&stage, Reply::tokens(4).held_after(2, &gate)).await;
    hear_text(&mut heard, "tok1 ").await;
    stage.kill_claude().await;
    heard.to_end().await;
    assert_failed(heard.turn(), "PROCESS_DIED");
    assert_eq!(heard.turn().partial_text, "tok0 tok1 ");
    goes_on(&stage, &heard, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_the_second_answer_ends_the_turn_once() {
    let mut stage = Stage::new().await;
    let gate = Gate::new();
    let heard = asked_once_more(&stage, data(r#"{"n": 1}"#).held_at_head(&gate)).await;
    gate.arrived(1).await;
    stage.crash().await;
    stage.restart().await;
    let turn = stage.wait_turn(heard.turn_id()).await;
    assert_failed(&turn, "SERVER_RESTARTED");
    assert_eq!((turn.data_json.as_str(), turn.in_context), ("", true));
    assert_eq!(turn.usage.unwrap_or_default().input_tokens, 10, "the first answer was paid for");
    let kept = stage.watch(heard.turn_id()).await;
    assert_eq!((count(&kept, is_terminal), kept.turn()), (1, &turn));
    goes_on(&stage, &heard, 2).await;
}

/// The server is stopped, so that the CLI's record has the whole answer and the server has not; then it is killed.
async fn finished_unread(stage: &mut Stage, gate: &Gate, words: &str) {
    processes::signal(stage.server.pid(), Signal::STOP);
    gate.open();
    eventually(PATIENCE, "the answer in the session's file", async || {
        stage.session_files().iter().any(|(_, content)| content.contains(words)).then_some(())
    })
    .await;
    stage.crash().await;
    stage.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_the_cli_had_finished_is_not_lost_with_the_server() {
    let mut stage = Stage::new().await;
    let gate = Gate::new();
    let second = "SECOND\n```json\n{\"n\": 1}\n```";
    let heard = asked_once_more(&stage, Reply::text(second).in_deltas(4).held_after(1, &gate)).await;
    gate.arrived(1).await;
    finished_unread(&mut stage, &gate, "SECOND").await;
    let turn = stage.wait_turn(heard.turn_id()).await;
    assert_eq!((turn.state(), turn.text.as_str()), (TurnState::Completed, second), "{turn:#?}");
    assert_eq!(turn.data_json, r#"{"n": 1}"#);
    assert_eq!(turn.usage.unwrap().input_tokens, 30, "both answers");
    let kept = stage.watch(heard.turn_id()).await;
    assert_eq!((count(&kept, is_terminal), kept.turn()), (1, &turn));
    goes_on(&stage, &heard, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_answer_that_does_not_fit_and_that_nobody_read_ends_the_turn() {
    let mut stage = Stage::new().await;
    let gate = Gate::new();
    stage.api.queue(data(r#"{"m": 1}"#).in_deltas(4).held_after(1, &gate));
    let mut heard = stage.open(demanding_n(marker_asks_arangodb("one"))).await;
    heard.until(|event| matches!(event, Event::TextDelta(_))).await;
    finished_unread(&mut stage, &gate, "Here it is.").await;
    let turn = stage.wait_turn(heard.turn_id()).await;
    assert_failed(&turn, "INVALID_OUTPUT");
    assert_eq!(turn.partial_text, answer(r#"{"m": 1}"#));
    goes_on(&stage, &heard, 1).await;
}
