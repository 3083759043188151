//! Answers with data: found, held to the schema, asked for once more where they do not fit, and given exactly.

use claude_comms_proto::v1::{QueryModuleRequest, Usage};
use claude_comms_tests::{Reply, client::Heard};
use serde_json::{Value, json};

use super::asking::{answer, assert_data, conversation_of, data, marker_asks_arangodb};
use crate::real_cli::stage::{Stage, assert_failed, count, is_terminal};
use claude_comms_proto::v1::turn_event::Event;

fn demanding(schema: &Value) -> QueryModuleRequest {
    let mut request = marker_asks_arangodb("How many tables are there?");
    request.output_schema = schema.to_string();
    request
}

fn counting() -> Value {
    json!({"type": "object", "properties": {"tables": {"type": "integer", "minimum": 0}}, "required": ["tables"], "additionalProperties": false})
}

#[track_caller]
fn assert_usage(heard: &Heard, input_tokens: i64, output_tokens: i64) {
    let usage = heard.turn().usage.unwrap_or_default();
    let expected = Usage { input_tokens, output_tokens, ..Usage::default() };
    assert_eq!(usage, expected, "all answers of the turn, summed");
}

/// What was said in the second request of a turn that was asked once more.
async fn assert_asked_once_more(stage: &Stage, heard: &Heard, first: &str, findings: &[&str]) {
    assert_eq!(stage.api.requests().len(), 2, "exactly two API calls");
    let (before, after) = (stage.request(0), stage.request(1));
    assert_eq!(before.user_texts(), [heard.turn().message.clone()]);
    assert_eq!(after.user_texts()[0], heard.turn().message);
    assert_eq!(after.user_texts().len(), 2);
    assert_eq!(after.assistant_texts(), [first]);
    assert_eq!(after.system_texts(), before.system_texts());
    for finding in findings {
        assert!(after.last_user_text().contains(finding), "{finding:?} in {}", after.last_user_text());
    }
    let kept = stage.watch(&heard.turn().id).await;
    assert_eq!((count(heard, is_terminal), count(&kept, is_terminal)), (1, 1));
    assert_eq!(kept.turn(), heard.turn());
    let resets = |event: &Event| matches!(event, Event::TextReset(reset) if reset.reason == "repair");
    assert_eq!((count(heard, resets), count(&kept, resets)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_fit_at_once_take_one_call() {
    let stage = Stage::new().await;
    stage.api.queue(data(r#"{"tables": 3}"#));
    let heard = stage.query_module(demanding(&counting())).await;
    assert_data(&heard, r#"{"tables": 3}"#);
    assert_eq!(stage.api.requests().len(), 1);
    assert!(stage.request(0).last_user_text().contains("\"tables\""), "the schema is told");
    assert_usage(&heard, 10, 1);
    assert_eq!(count(&heard, |event| matches!(event, Event::TextReset(_))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_do_not_fit_are_asked_for_once_more() {
    let stage = Stage::new().await;
    stage.api.queue(data(r#"{"tables": "three", "note": 1}"#));
    stage.api.queue(data(r#"{"tables": 3}"#));
    let heard = stage.query_module(demanding(&counting())).await;
    assert_data(&heard, r#"{"tables": 3}"#);
    let first = answer(r#"{"tables": "three", "note": 1}"#);
    let findings = ["tables: must be of type integer", "note"];
    assert_asked_once_more(&stage, &heard, &first, &findings).await;
    // Ten tokens a text of users: one in the first call, two in the second.
    assert_usage(&heard, 30, 2);
    let conversation = stage.conversation(conversation_of(&heard)).await;
    assert_eq!((conversation.turn_count, conversation.usage), (1, heard.turn().usage));
    assert!((conversation.cost_usd - heard.turn().cost_usd).abs() < 1e-12 && conversation.cost_usd > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_never_fit_end_the_turn_after_two_calls() {
    let stage = Stage::new().await;
    stage.api.queue(data(r#"{"tables": -1}"#));
    stage.api.queue(data(r#"{"tables": -2}"#));
    let heard = stage.query_module(demanding(&counting())).await;
    assert_failed(heard.turn(), "INVALID_OUTPUT");
    assert_asked_once_more(&stage, &heard, &answer(r#"{"tables": -1}"#), &["tables", "-1"]).await;
    let turn = heard.turn();
    let message = &turn.failure.as_ref().unwrap().message;
    assert!(message.contains("tables") && message.contains("-2"), "the last findings: {message}");
    assert_eq!((turn.partial_text.as_str(), turn.data_json.as_str()), (&*answer(r#"{"tables": -2}"#), ""));
    assert!(turn.data.is_none() && turn.in_context, "{turn:#?}");
    assert_usage(&heard, 30, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_data_are_asked_for_once_more() {
    let stage = Stage::new().await;
    stage.api.queue(Reply::text("There are three tables."));
    stage.api.queue(data(r#"{"tables": 3}"#));
    let heard = stage.query_module(demanding(&counting())).await;
    assert_data(&heard, r#"{"tables": 3}"#);
    let findings = ["holds no data", "```json", "\"tables\""];
    assert_asked_once_more(&stage, &heard, "There are three tables.", &findings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_does_not_know_is_asked_once() {
    let stage = Stage::new().await;
    let answer = "```unanswerable\nThe database was not seen. Needed: its collections.\n```\n";
    stage.api.always_for("How many", Reply::text(answer));
    for (calls, request) in
        [demanding(&counting()), marker_asks_arangodb("How many?")].into_iter().enumerate()
    {
        let heard = stage.query_module(request).await;
        assert_failed(heard.turn(), "UNANSWERABLE");
        let turn = heard.turn();
        let message = &turn.failure.as_ref().unwrap().message;
        assert_eq!(message, "The database was not seen. Needed: its collections.");
        assert_eq!((turn.partial_text.as_str(), turn.in_context), (answer, true));
        assert_eq!(stage.api.requests().len(), calls + 1);
        assert_usage(&heard, 10, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_may_say_that_it_does_not_know_when_asked_once_more() {
    let stage = Stage::new().await;
    stage.api.queue(data("{}"));
    stage.api.queue(Reply::text("```unanswerable\nNobody counted.\n```"));
    let heard = stage.query_module(demanding(&counting())).await;
    assert_failed(heard.turn(), "UNANSWERABLE");
    assert_asked_once_more(&stage, &heard, &answer("{}"), &["tables"]).await;
    assert_eq!(heard.turn().failure.as_ref().unwrap().message, "Nobody counted.");
    assert_usage(&heard, 30, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_with_references_holds_deep_inside() {
    let stage = Stage::new().await;
    let schema = json!({
        "$ref": "#/$defs/block",
        "$defs": {"block": {
            "type": "object", "required": ["id"],
            "properties": {"id": {"type": "string", "pattern": "^/page/\\d+$"}, "children": {"type": "array", "items": {"$ref": "#/$defs/block"}}},
        }},
    });
    let (bad, good) = (
        r#"{"id": "/page/0", "children": [{"id": "/page/1"}, {"id": "page 2"}]}"#,
        r#"{"id": "/page/0", "children": [{"id": "/page/1"}, {"id": "/page/2"}]}"#,
    );
    stage.api.queue(data(bad));
    stage.api.queue(data(good));
    let heard = stage.query_module(demanding(&schema)).await;
    assert_data(&heard, good);
    assert_asked_once_more(&stage, &heard, &answer(bad), &["children[1].id", "page 2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_doubles_keep_their_digits() {
    let stage = Stage::new().await;
    let exact = "{\"n\": [9007199254740993, 123456789012345678901234567890, 0.10000000000000000001],  \"x\": \"\\u00e9\"}";
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "array", "items": {"type": "number"}}}});
    stage.api.queue(data(exact));
    let heard = stage.query_module(demanding(&schema)).await;
    assert_data(&heard, exact);
    assert_eq!(stage.turn(&heard.turn().id).await.data_json, exact);
    assert_eq!(stage.api.requests().len(), 1);
}
