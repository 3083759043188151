//! One line a turn at its end, flat, and without a word of anybody's.

use std::collections::BTreeMap;

use claude_comms_tests::TestServer;
use serde_json::Value;

use super::session::{self, CANARY};
use crate::simulated::support::{submit_running, wait};

/// The turns' lines, by turn.
fn lines(server: &TestServer) -> BTreeMap<String, Vec<Value>> {
    let mut lines = BTreeMap::<String, Vec<Value>>::new();
    for line in server.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "it is flat: {line}");
        if line["target"] == "claude_comms::turn" {
            lines.entry(line["turn.id"].as_str().unwrap().to_owned()).or_default().push(line);
        }
    }
    lines
}

#[tokio::test]
async fn every_turn_has_one_line_that_agrees_with_its_record() {
    let server = session::server().start().await;
    let session = session::run(&server).await;
    let lines = lines(&server);
    assert_eq!(lines.len(), session.turns.len());
    for turn in &session.turns {
        let [line] = lines[&turn.id].as_slice() else { panic!("one line: {lines:#?}") };
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let state = turn.state().as_str_name().trim_start_matches("TURN_STATE_");
        let reason = turn.failure.as_ref().map(|failure| failure.reason.as_str()).unwrap_or_default();
        assert_eq!((text("state"), text("reason")), (state, reason), "{line}");
        assert_eq!(text("conversation.id"), turn.conversation_id, "{line}");
        assert_eq!(text("instance.id"), turn.instance_id, "{line}");
        assert_eq!(line["attempt"], turn.attempt, "{line}");
        let usage = turn.usage.unwrap();
        assert_eq!(line["input_tokens"], usage.input_tokens, "{line}");
        assert_eq!(line["output_tokens"], usage.output_tokens, "{line}");
        assert_eq!(line["cache_creation_input_tokens"], usage.cache_creation_input_tokens, "{line}");
        assert_eq!(line["cache_read_input_tokens"], usage.cache_read_input_tokens, "{line}");
        assert_eq!(line["cost_usd"], turn.cost_usd, "{line}");
        assert_eq!(line.get("queue_ms").is_some(), turn.start_time.is_some(), "{line}");
        let total = line["total_ms"].as_f64().expect("every turn took some time");
        for part in ["queue_ms", "first_token_ms"] {
            assert!(line.get(part).and_then(Value::as_f64).is_none_or(|part| part <= total), "{line}");
        }
    }
    let of = |state: &str, field: &str| {
        let all = lines.values().flatten().filter(|line| line["state"] == state);
        all.map(|line| line.get(field).and_then(Value::as_str).unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let rpcs = of("COMPLETED", "rpc");
    assert_eq!(rpcs, ["SendMessage", "SendMessage", "SendMessage", "QueryModule"]);
    assert_eq!(of("CANCELLED", "rpc"), ["SendMessage", "SubmitMessage"]);
    assert_eq!(of("COMPLETED", "source_module"), ["", "", "", "marker"]);
    assert_eq!(of("COMPLETED", "target_module"), ["", "", "", "counter"]);
    assert!(!server.log().contains(CANARY), "{}", server.log());
}

#[tokio::test]
async fn a_turn_that_a_kill_cut_has_its_line_from_the_next_start() {
    let mut server = session::server().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = submit_running(&client, &conversation, &format!("{CANARY} please hang")).await;
    let id = running.turn_id().to_owned();
    server.kill9().await;
    assert!(lines(&server).is_empty());
    server.restart().await;
    wait(&server.client().await, &id).await;
    let lines = lines(&server);
    let [line] = lines[&id].as_slice() else { panic!("one line: {lines:#?}") };
    assert_eq!(
        (&line["reason"], &line["settled_at_start"]),
        (&"SERVER_RESTARTED".into(), &true.into()),
        "{line}"
    );
    assert!(!server.log().contains(CANARY), "{}", server.log());
}

#[tokio::test]
async fn a_turns_line_names_the_trace_of_its_caller() {
    let server = session::server().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = tonic::Request::new(claude_comms_proto::v1::SendMessageRequest {
        conversation_id: conversation,
        prompt: CANARY.to_owned(),
        ..Default::default()
    });
    let header = format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", header);
    let stream = client.conversations.clone().send_message(request).await.unwrap().into_inner();
    let id = claude_comms_tests::client::Heard::new(stream).to_end().await.id.clone();
    assert_eq!(lines(&server)[&id][0]["trace.id"], trace);
}
