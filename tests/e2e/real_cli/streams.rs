//! Answers that stream: cut ones, broken ones, long ones. What clients hear since the last reset is the answer, or there
//! is none.

use claude_comms_proto::v1::{TurnState, WatchTurnRequest, turn_event::Event};
use claude_comms_tests::{Gate, Reply, client::Heard, messages_api::Ending};

use super::stage::{Stage, assert_answer, assert_failed, count, hear_text};

const CUT_AT_BYTES: usize = 512 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_that_recovers_resets_the_text_and_gives_the_answer_once() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(3, &gate).cut_after(3));
    let mut heard = stage.client.send(&conversation, "the whole answer").await.unwrap();
    hear_text(&mut heard, "tok2 ").await;
    gate.open();
    heard.to_end().await;
    assert_answer(&heard, "the whole answer");
    assert_eq!(count(&heard, |event| matches!(event, Event::TextReset(_))), 1);
    assert_eq!(count(&heard, |event| matches!(event, Event::Retrying(_))), 1);
    assert_eq!((stage.api.ending(0), stage.api.requests().len()), (Ending::Cut, 2));
    // Kept, the turn tells the answer and nothing of what was cut.
    let kept = stage.watch(&heard.turn().id).await;
    assert_answer(&kept, "the whole answer");
    assert_eq!(count(&kept, |event| matches!(event, Event::TextDelta(_))), 1);
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
    assert_eq!(stage.last_request_users(), ["the whole answer", "next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_each_time_leaves_no_answer() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(2, &gate).cut_after(2));
    stage.api.always_for("cut", Reply::tokens(5).cut_after(2));
    let mut heard = stage.client.send(&conversation, "cut").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    gate.open();
    heard.to_end().await;
    assert_failed(heard.turn(), "API_OVERLOADED");
    assert!(count(&heard, |event| matches!(event, Event::Retrying(_))) >= 1);
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_event_in_the_stream_falls_back_to_the_whole_answer() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(2, &gate).error_event_after(2));
    let mut heard = stage.client.send(&conversation, "the whole answer").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    gate.open();
    heard.to_end().await;
    assert_answer(&heard, "the whole answer");
    assert_eq!(count(&heard, |event| matches!(event, Event::TextReset(_))), 1);
    let streamed: Vec<bool> = stage.api.requests().iter().map(|request| request.streams()).collect();
    assert_eq!(streamed, [true, false]);
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_event_without_a_fallback_fails_the_turn() {
    let stage = Stage::with(|builder| {
        builder.configuration("claude: {environment: {CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: '1'}}")
    })
    .await;
    let conversation = stage.client.new_conversation().await;
    stage.api.always_for("error", Reply::tokens(5).error_event_after(2));
    let heard = stage.client.ask(&conversation, "error").await;
    assert_failed(heard.turn(), "API_OVERLOADED");
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
}

/// Watches an ended turn from a place in its text.
async fn watch_from(stage: &Stage, id: &str, offset: usize) -> Heard {
    let request =
        WatchTurnRequest { turn_id: id.into(), text_offset: offset as u64, ..WatchTurnRequest::default() };
    let stream = stage.client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
    let mut heard = Heard::from_offset(stream, offset);
    heard.to_end().await;
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_one_megabyte_arrives_whole() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let answer: String = (0..)
        .map(|number| format!("{number} é😀\n"))
        .flat_map(|line| line.chars().collect::<Vec<_>>())
        .take(1 << 20)
        .collect();
    assert!(answer.len() > 1 << 20);
    stage.api.queue(Reply::text(answer.clone()).in_deltas(200));
    let heard = stage.client.ask(&conversation, "much").await;
    let turn = heard.turn();
    assert_eq!(turn.state(), TurnState::Completed);
    assert!(heard.text == answer, "the deltas are the answer");
    assert!(answer.starts_with(&turn.text) && turn.text.len() <= CUT_AT_BYTES, "{}", turn.text.len());
    assert!(turn.text.len() > CUT_AT_BYTES - 4);
    assert_eq!(turn.truncated_fields, ["text"]);
    assert_eq!(&stage.turn(&turn.id).await, turn);
    assert!(watch_from(&stage, &turn.id, 0).await.text == answer);
    let place = floor(&answer, 700_000);
    assert!(watch_from(&stage, &turn.id, place).await.text == answer[place..]);
    // Claude remembers all of it.
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
    assert!(stage.api.requests()[1].assistant_texts() == [answer]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_stream_loses_nothing() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(40).held_after(20, &gate));
    let mut heard = stage.client.send(&conversation, "much").await.unwrap();
    hear_text(&mut heard, "tok19 ").await;
    let (id, held) = (heard.turn_id().to_owned(), heard.text.len());
    drop(heard);
    gate.open();
    let answer: String = (0..40).map(|index| format!("tok{index} ")).collect();
    assert_eq!(stage.wait_turn(&id).await.text, answer);
    assert_eq!(watch_from(&stage, &id, held).await.text, answer[held..]);
    assert_eq!(stage.api.ending(0), Ending::Complete);
}

/// The last character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset).rev().find(|place| text.is_char_boundary(*place)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_ten_thousand_deltas_arrives_whole() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    stage.api.queue(Reply::tokens(10_000));
    let heard = stage.client.ask(&conversation, "many").await;
    let answer: String = (0..10_000).map(|index| format!("tok{index} ")).collect();
    assert_answer(&heard, &answer);
    assert_eq!(heard.turn().usage.unwrap().output_tokens, 10_000);
    assert_eq!(count(&heard, |event| matches!(event, Event::TextReset(_))), 0);
    assert_answer(&stage.watch(&heard.turn().id).await, &answer);
}
