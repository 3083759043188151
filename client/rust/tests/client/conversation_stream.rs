//! The watch of a conversation against a server whose wire is cut: each event and each byte comes once, in order.

use std::collections::HashMap;

use crate::support::{ANSWER, Mishap, Rig, SCRIPT, Step, events, joined};
use claude_comms_client::{Client, ConversationEvent, Error, TurnEvent, TurnUpdate, v1};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

fn request(after_sequence: Option<u64>, text_offset: u64) -> v1::WatchConversationRequest {
    v1::WatchConversationRequest { conversation_id: "c".into(), after_sequence, text_offset }
}

/// Watches to the end of the turn; the wire is cut after each event that `cut_after` names.
async fn read(rig: &Rig, cut_after: impl Fn(usize) -> bool) -> Vec<ConversationEvent> {
    let mut stream = rig.client.watch_conversation(request(Some(0), 0)).await.expect("the watch stands");
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.expect("the watch goes on");
        let ended = event.turn.update.terminal().is_some();
        seen.push(event);
        if ended {
            return seen;
        }
        if cut_after(seen.len()) {
            rig.state.cut();
        }
        rig.state.allowed.send_modify(|allowed| *allowed += 1);
    }
    panic!("the watch ended: {seen:#?}");
}

fn check(seen: &[ConversationEvent]) {
    let turn: Vec<TurnEvent> = seen.iter().map(|event| event.turn.clone()).collect();
    assert_eq!(joined(&turn), ANSWER);
    let mut durable: Vec<u64> = seen.iter().map(|event| event.sequence).collect();
    assert!(durable.is_sorted(), "{seen:#?}");
    durable.dedup();
    assert_eq!(durable, [1, 2, 3, 4], "without a gap");
    let count = |wanted: fn(&TurnUpdate) -> bool| turn.iter().filter(|e| wanted(&e.update)).count();
    assert_eq!(count(|u| matches!(u, TurnUpdate::Accepted { .. })), 1, "{seen:#?}");
    assert_eq!(count(|u| matches!(u, TurnUpdate::Started { .. })), 1, "{seen:#?}");
    assert_eq!(count(|u| matches!(u, TurnUpdate::Reset { .. })), 1, "{seen:#?}");
}

#[tokio::test]
async fn a_cut_after_any_event_loses_and_doubles_nothing() {
    for at in 1..=events(SCRIPT).len() {
        let rig = Rig::start(SCRIPT);
        rig.state.allowed.send_replace(1);
        check(&read(&rig, |seen| seen == at).await);
    }
}

#[tokio::test]
async fn cuts_after_every_event_lose_and_double_nothing() {
    let rig = Rig::start(SCRIPT);
    rig.state.allowed.send_replace(1);
    check(&read(&rig, |_| true).await);
    assert!(rig.calls("watch_conversation") > 3, "the watch was taken up again");
}

#[tokio::test]
async fn a_watch_goes_on_where_its_caller_was() {
    let rig = Rig::start(SCRIPT);
    let held = "Grüße, ".len() as u64;
    let mut stream = rig.client.watch_conversation(request(Some(3), held)).await.expect("the watch stands");
    assert_eq!(stream.sequence(), 3);
    let mut text = String::new();
    let turn = loop {
        match stream.next().await.expect("an event").expect("the watch goes on").turn.update {
            TurnUpdate::Text { offset, text: piece } => {
                assert_eq!(offset, held + text.len() as u64);
                text.push_str(&piece);
            }
            TurnUpdate::Completed(turn) => break turn,
            other => panic!("it was seen before: {other:?}"),
        }
    };
    assert_eq!(format!("Grüße, {text}"), turn.text);
}

#[tokio::test]
async fn a_conversation_that_is_not_there_is_no_watch() {
    let rig = Rig::start(SCRIPT);
    let details = ErrorDetails::with_error_info(
        "CONVERSATION_NOT_FOUND",
        "claude-comms",
        HashMap::from([("id".to_owned(), "c".to_owned())]),
    );
    let status = Status::with_error_details(Code::NotFound, "there is no conversation c", details);
    rig.state.mishaps.lock().expect("lock").push_back(Mishap::Refuse(status));
    let error = rig.client.watch_conversation(request(None, 0)).await.expect_err("refused");
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    assert_eq!(rig.calls("watch_conversation"), 1);
}

#[tokio::test]
async fn a_server_that_does_not_come_back_ends_the_watch() {
    let mut rig = Rig::start(&[Step::Started]);
    let client = Client::builder()
        .endpoint(rig.client.endpoint().to_string())
        .reconnect_timeout(std::time::Duration::from_millis(300))
        .build()
        .expect("client");
    let mut stream = client.watch_conversation(request(Some(0), 0)).await.expect("the watch stands");
    stream.next().await.expect("accepted").expect("accepted");
    rig.vanish().await;
    let error = loop {
        match stream.next().await.expect("an error comes first") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::WatchLost { watched, .. } if watched == "conversation c"), "{error:?}");
    assert!(stream.next().await.is_none(), "nothing after the error");
}
