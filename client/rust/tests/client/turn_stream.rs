//! The turn stream against a server whose wire is cut: the answer is whole, in order, and comes once.

use std::time::Duration;

use crate::support::{ANSWER, Mishap, Rig, SCRIPT, Step, events, joined};
use claude_comms_client::{Client, Error, TurnEvent, TurnStream, TurnUpdate, v1};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

fn request() -> v1::SendMessageRequest {
    v1::SendMessageRequest { conversation_id: "c".into(), prompt: "p".into(), ..Default::default() }
}

/// When the wire is cut, seen from the client that has just read an event.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// Before the server may send the next one.
    Before,
    /// While the next one is on its way.
    During,
}

async fn read(
    rig: &Rig,
    mut stream: TurnStream,
    cut: Cut,
    cut_after: impl Fn(usize) -> bool,
) -> Vec<TurnEvent> {
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        seen.push(event.expect("the stream goes on"));
        if cut == Cut::Before && cut_after(seen.len()) {
            rig.state.cut();
        }
        rig.state.allowed.send_modify(|allowed| *allowed += 1);
        if cut == Cut::During && cut_after(seen.len()) {
            rig.state.cut();
        }
    }
    seen
}

fn check(seen: &[TurnEvent]) {
    assert_eq!(joined(seen), ANSWER);
    assert!(matches!(seen.last().expect("events").update, TurnUpdate::Completed(_)), "{seen:#?}");
    let count = |wanted: fn(&TurnUpdate) -> bool| seen.iter().filter(|e| wanted(&e.update)).count();
    assert_eq!(count(|u| matches!(u, TurnUpdate::Accepted { .. })), 1, "{seen:#?}");
    assert_eq!(count(|u| matches!(u, TurnUpdate::Started { .. })), 1, "{seen:#?}");
    assert_eq!(count(|u| matches!(u, TurnUpdate::Reset { .. })), 1, "{seen:#?}");
    assert_eq!(count(|u| u.terminal().is_some()), 1, "{seen:#?}");
}

#[tokio::test]
async fn a_cut_after_any_event_loses_and_doubles_nothing() {
    for cut in [Cut::Before, Cut::During] {
        for at in 1..=events(SCRIPT).len() {
            let rig = Rig::start(SCRIPT);
            rig.state.allowed.send_replace(1);
            let stream = rig.client.send_message(request()).await.expect("accepted");
            check(&read(&rig, stream, cut, |seen| seen == at).await);
        }
    }
}

#[tokio::test]
async fn cuts_after_every_event_lose_and_double_nothing() {
    for cut in [Cut::Before, Cut::During] {
        let rig = Rig::start(SCRIPT);
        rig.state.allowed.send_replace(1);
        let stream = rig.client.send_message(request()).await.expect("accepted");
        check(&read(&rig, stream, cut, |_| true).await);
        assert!(rig.calls("watch_turn") > 3, "the stream was taken up again");
        assert_eq!(rig.state.request_ids.lock().expect("lock").len(), 1);
    }
}

#[tokio::test]
async fn a_cut_before_the_first_event_repeats_the_same_request() {
    let rig = Rig::start(SCRIPT);
    for _ in 0..3 {
        rig.state.mishaps.lock().expect("lock").push_back(Mishap::CutAfterTaking);
    }
    let answer = rig.client.send_message(request()).await.expect("accepted").collect().await.expect("answer");
    assert_eq!(answer.text, ANSWER);
    assert_eq!(rig.calls("send_message"), 4);
    assert_eq!(rig.state.request_ids.lock().expect("lock").len(), 1, "one request_id is one turn");
}

#[tokio::test]
async fn a_hole_in_the_text_is_asked_for_again() {
    let rig =
        Rig::start(&[Step::Started, Step::Text("ab"), Step::Hole(2), Step::Text("cd"), Step::Completed]);
    let answer = rig.client.send_message(request()).await.expect("accepted").collect().await.expect("answer");
    assert_eq!(answer.text, "abcd");
    assert_eq!(rig.calls("watch_turn"), 1);
}

#[tokio::test]
async fn a_server_that_drains_and_comes_back_does_not_end_the_stream() {
    let rig = Rig::start(SCRIPT);
    rig.state.allowed.send_replace(3);
    let mut stream = rig.client.send_message(request()).await.expect("accepted");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(stream.next().await.expect("event").expect("event"));
    }
    for _ in 0..2 {
        let details =
            ErrorDetails::with_error_info("SERVER_DRAINING", "claude-comms", [("a".into(), "b".into())]);
        let status = Status::with_error_details(Code::Unavailable, "the server is shutting down", details);
        rig.state.mishaps.lock().expect("lock").push_back(Mishap::Refuse(status));
    }
    let mut connection = stream.connection();
    rig.state.cut();
    rig.state.allowed.send_replace(usize::MAX);
    while let Some(event) = stream.next().await {
        seen.push(event.expect("the stream goes on"));
    }
    assert!(connection.has_changed().expect("sender"), "loss and return are told");
    assert!(*connection.borrow_and_update(), "it was connected again");
    check(&seen);
}

#[tokio::test]
async fn a_failed_turn_is_data_and_becomes_an_error_only_when_asked() {
    let rig = Rig::start(&[Step::Started, Step::Text("half"), Step::Failed("API_OVERLOADED")]);
    let answer = rig.client.send_message(request()).await.expect("accepted").collect().await.expect("ended");
    assert_eq!((answer.text.as_str(), answer.turn.state()), ("half", v1::TurnState::Failed));
    let error = answer.into_result().expect_err("no answer");
    assert_eq!(error.reason(), Some("API_OVERLOADED"));
    let error = rig.client.ask("c", "p").await.expect_err("no answer");
    assert!(matches!(error, Error::TurnFailed { .. }));
}

#[tokio::test]
async fn watching_from_an_offset_brings_exactly_the_rest() {
    let rig = Rig::start(&[Step::Started, Step::Text("abc"), Step::Text("def"), Step::Completed]);
    let request = v1::WatchTurnRequest { turn_id: "t".into(), after_sequence: Some(2), text_offset: 4 };
    let answer = rig.client.watch_turn(request).await.expect("turn").collect().await.expect("answer");
    assert_eq!(answer.text, "ef");
}

#[tokio::test]
async fn a_refusal_is_the_error_of_the_call() {
    let rig = Rig::start(SCRIPT);
    let mut details = ErrorDetails::with_error_info("QUEUE_FULL", "claude-comms", [("a".into(), "b".into())]);
    details.set_retry_info(Some(Duration::from_secs(3)));
    let status = Status::with_error_details(Code::ResourceExhausted, "64 turns wait", details);
    rig.state.mishaps.lock().expect("lock").push_back(Mishap::Refuse(status));
    let error = rig.client.send_message(request()).await.expect_err("refused");
    assert!(matches!(error, Error::QueueFull(_)), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(rig.calls("send_message"), 1);
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_with_the_turns_id() {
    let mut rig = Rig::start(SCRIPT);
    let client = Client::builder()
        .endpoint(rig.client.endpoint().to_string())
        .reconnect_timeout(Duration::from_millis(1200))
        .build()
        .expect("client");
    rig.state.allowed.send_replace(1);
    let mut stream = client.send_message(request()).await.expect("accepted");
    stream.next().await.expect("event").expect("accepted");
    let connection = stream.connection();
    assert!(*connection.borrow());
    rig.vanish().await;
    let error = stream.next().await.expect("an end").expect_err("nobody there");
    let Error::TurnLost { turn_id, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(turn_id, "t");
    assert!(matches!(*source, Error::NoServer { .. }), "{source:?}");
    assert!(!*connection.borrow(), "the loss is told");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_end_its_neighbours() {
    // One token a message: h2 charges unread small frames to the whole connection and ends it when they are too many.
    const TOKENS: usize = 40_000;
    let mut script = vec![Step::Started];
    script.extend(std::iter::repeat_n(Step::Text("x"), TOKENS));
    script.push(Step::Completed);
    let rig = Rig::start(&script);
    let stalled = rig.client.send_message(request()).await.expect("accepted");
    for _ in 0..2 {
        let neighbour = rig.client.send_message(request()).await.expect("accepted");
        assert_eq!(neighbour.collect().await.expect("answer").text.len(), TOKENS);
    }
    assert_eq!(stalled.collect().await.expect("answer").text.len(), TOKENS);
    assert_eq!(rig.calls("watch_turn"), 0, "no connection was lost");
}

/// Streams and clients go into tasks.
#[test]
fn client_and_stream_may_go_to_another_thread() {
    fn check<T: Send + 'static>() {}
    check::<TurnStream>();
    check::<Client>();
    check::<Error>();
}
