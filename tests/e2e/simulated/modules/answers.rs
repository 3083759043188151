//! Data in answers: it fits the schema that was demanded, or the turn says why there is none.

use claude_comms_proto::v1::{QueryModuleRequest, SendMessageRequest};
use claude_comms_tests::{Client, TestServer, client::Heard};
use serde_json::{Value, json};
use tonic::Code;

use super::support::{counter, json_of, query, question, register, try_query};
use crate::simulated::support::{
    bad_input, completed, failed, get, playing, playing_turns, refused, turns, watch,
};

/// A server whose Claude answers every prompt with this text.
async fn answering(text: &str) -> TestServer {
    playing_turns(&json!({"turns": [{"steps": [{"text": text}]}]}).to_string()).start().await
}

/// Asks with a schema in a plain conversation.
async fn demand(client: &Client, schema: &Value) -> Heard {
    let request = SendMessageRequest {
        conversation_id: client.new_conversation().await,
        prompt: "Give it.".into(),
        output_schema: schema.to_string(),
        ..Default::default()
    };
    let mut heard = client.send_request(request).await.expect("the turn is accepted");
    heard.to_end().await;
    heard
}

#[tokio::test]
async fn data_that_fits_is_given_beside_the_text() {
    let server = playing("structured").start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    let mut asked = question("marker", "counter", "ASK-DATA");
    asked.capability = "count_things".into();
    let heard = query(&client, asked.clone()).await;
    let turn = heard.turn();
    assert_eq!(completed(turn), "Seven.\n\n```json\n{\"count\": 7}\n```\n", "the text is as Claude wrote it");
    assert_eq!(turn.data_json, "{\"count\": 7}");
    assert_eq!(json_of(turn.data.as_ref().unwrap()), json!({"count": 7.0}));
    assert_eq!((turn.capability.as_str(), turn.attempt), ("count_things", 1));
    assert!(
        turn.message.contains("<output_format>") && turn.message.contains("<capability>"),
        "{}",
        turn.message
    );
    assert_eq!(get(&client, &turn.id).await, *turn);
    let mut again = watch(&client, &turn.id, None, 0).await;
    assert_eq!(again.to_end().await, turn);
    let listed = turns(&client, &turn.conversation_id).await.remove(0);
    assert!(
        listed.data.is_none() && listed.data_json.is_empty() && listed.capability.is_empty(),
        "{listed:?}"
    );

    // The request's schema wins over the capability's.
    asked.output_schema = json!({"type": "object", "required": ["total"]}).to_string();
    let heard = query(&client, asked.clone()).await;
    assert!(failed(heard.turn(), "INVALID_OUTPUT").contains("total"), "{:?}", heard.turn());
    // Without a capability nothing is demanded.
    let heard = query(&client, question("marker", "counter", "ASK-DATA")).await;
    completed(heard.turn());
    assert!(heard.turn().data.is_none() && heard.turn().data_json.is_empty());
    asked.capability = "count_thing".into();
    let status = bad_input(try_query(&client, asked).await, &["capability"]);
    assert!(status.message().contains("did you mean \"count_things\""), "{status:?}");
}

#[tokio::test]
async fn an_answer_that_is_one_json_value_as_a_whole_counts_and_of_several_blocks_the_last() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    for (text, data) in [
        ("{\"a\": 1}", Some("{\"a\": 1}")),
        ("```json\n{\"a\": 1}\n```\nNo:\n```json\n{\"a\":\n  2}\n```", Some("{\"a\":\n  2}")),
        ("```yaml\na: 1\n```\n", None),
        ("", None),
    ] {
        let server = answering(text).await;
        let client = server.client().await;
        let heard = demand(&client, &schema).await;
        match data {
            Some(data) => {
                assert_eq!(completed(heard.turn()), text);
                assert_eq!(heard.turn().data_json, data);
            }
            None => assert!(!failed(heard.turn(), "INVALID_OUTPUT").is_empty()),
        }
    }
}

#[tokio::test]
async fn a_schema_with_references_and_numbers_beyond_doubles_is_exact_in_data_json() {
    let text = "```json\n{\"id\": 9007199254740993, \"sum\": 0.1000000000000000055511151231257827, \"node\": {\"next\": {\"next\": null}}}\n```";
    let server = answering(text).await;
    let client = server.client().await;
    let schema = json!({
        "$defs": {"node": {"type": ["object", "null"], "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}},
        "type": "object",
        "properties": {"id": {"type": "integer"}, "sum": {"type": "number"}, "node": {"$ref": "#/$defs/node"}},
        "required": ["id", "node"],
    });
    let heard = demand(&client, &schema).await;
    completed(heard.turn());
    for exact in ["9007199254740993", "0.1000000000000000055511151231257827"] {
        assert!(heard.turn().data_json.contains(exact), "{exact} in {:?}", heard.turn());
    }
    let data = json_of(heard.turn().data.as_ref().unwrap());
    assert_eq!(
        (&data["id"], &data["node"]),
        (&json!(9_007_199_254_740_992.0), &json!({"next": {"next": null}}))
    );
    assert_eq!(get(&client, &heard.turn().id).await, *heard.turn());
}

#[tokio::test]
async fn what_cannot_be_answered_fails_at_once_with_the_modules_own_words() {
    let server = playing("structured").start().await;
    let client = server.client().await;
    register(&client, &counter()).await;
    for capability in ["count_things", ""] {
        let mut asked = question("", "counter", "ASK-UNKNOWN");
        asked.capability = capability.into();
        let heard = query(&client, asked).await;
        let turn = heard.turn();
        assert_eq!(failed(turn, "UNANSWERABLE"), "Nobody has counted. I would need a list.");
        assert!(
            turn.partial_text.starts_with("Sorry.") && turn.data_json.is_empty() && turn.in_context,
            "{turn:?}"
        );
        assert!(
            !heard.events.iter().any(|event| matches!(
                event.event,
                Some(claude_comms_proto::v1::turn_event::Event::TextReset(_))
            )),
            "no other answer was asked for"
        );
    }
    // A plain conversation demands nothing, so that words are words.
    let heard = client.ask(&client.new_conversation().await, "ASK-UNKNOWN").await;
    assert!(completed(heard.turn()).contains("unanswerable"));
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused_before_anything_is_sent() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let remote = json!({"$ref": "https://example.org/schema.json"}).to_string();
    let endless = json!({"type": "string", "pattern": "("}).to_string();
    let large = json!({"description": "x".repeat(300 << 10)}).to_string();
    for schema in
        ["{", "nonsense", "[]", "{\"type\": \"nothing\"}", "{\"a\": 1, \"a\": 2}", &remote, &endless, &large]
    {
        let message = SendMessageRequest {
            conversation_id: conversation.clone(),
            prompt: "x".into(),
            output_schema: schema.into(),
            ..Default::default()
        };
        bad_input(client.send_request(message).await, &["output_schema"]);
        let asked = QueryModuleRequest { output_schema: schema.into(), ..question("", "marker", "x") };
        bad_input(try_query(&client, asked).await, &["output_schema"]);
    }
    assert!(turns(&client, "").await.is_empty());
}

#[tokio::test]
async fn data_beyond_the_limit_of_a_message_is_cut_and_then_unset() {
    let value = "x".repeat(600 << 10);
    let server = answering(&format!("```json\n{{\"value\": \"{value}\"}}\n```")).await;
    let client = server.client().await;
    let heard = demand(&client, &json!({"type": "object", "required": ["value"]})).await;
    let turn = heard.turn();
    assert!(!completed(turn).is_empty());
    assert!(turn.data.is_none(), "what is not whole is no data");
    assert_eq!(turn.data_json.len(), 512 << 10);
    assert!(turn.data_json.starts_with("{\"value\": \"xx"));
    for field in ["data_json", "text"] {
        assert!(
            turn.truncated_fields.iter().any(|cut| cut == field),
            "{field} in {:?}",
            turn.truncated_fields
        );
    }
    assert_eq!(heard.text.len(), value.len() + 25, "the events carry it whole");
}

#[tokio::test]
async fn plain_conversations_take_templates_and_schemas_and_go_unchanged_without() {
    let server = answering("```json\n[1]\n```").await;
    let client = server.client().await;
    let heard = demand(&client, &json!({"type": "array"})).await;
    let turn = heard.turn();
    assert_eq!(
        (completed(turn), turn.data_json.as_str(), turn.template.as_str()),
        ("```json\n[1]\n```", "[1]", "query@1.0.0")
    );
    assert!(
        turn.message.contains("Give it.") && turn.message.contains("<output_format>"),
        "{}",
        turn.message
    );
    let plain = client.ask(&turn.conversation_id, "<question> unchanged").await;
    assert_eq!((plain.turn().message.as_str(), plain.turn().template.as_str()), ("", ""));
    let mut asked = question("", "", "x");
    asked.conversation_id.clone_from(&turn.conversation_id);
    bad_input(try_query(&client, asked).await, &["conversation_id"]);
    let unknown = SendMessageRequest {
        conversation_id: turn.conversation_id.clone(),
        prompt: "x".into(),
        template: "nothing".into(),
        ..Default::default()
    };
    refused(client.send_request(unknown).await, Code::InvalidArgument, "INVALID_ARGUMENT");
}
