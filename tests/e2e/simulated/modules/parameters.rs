//! Templates and their parameters: checked before anything is sent.

use claude_comms_proto::v1::{QueryModuleRequest, SendMessageRequest};
use claude_comms_tests::{Client, TestServer};
use serde_json::{Value, json};
use tonic::Code;

use super::support::{descriptor, parameters, query, question, register, try_query};
use crate::simulated::support::{bad_input, children, completed, refused, turns};

const TEMPLATE: &str = "---\nversion: 2.1.0\nprompt: optional\nparameters:\n  rows: {type: integer, minimum: 1}\n  \
                        exact: {type: boolean, default: false}\n  names: {type: array, items: {type: string}, \
                        required: false}\n---\nrows={{ rows }} exact={{ exact }}{% if names %} names={{ names|join('+') \
                        }}{% endif %}{% if prompt %} prompt={{ prompt }}{% endif %}\n";

async fn registered(client: &Client) {
    let fields = json!({"context": {"templates": {
        "table": {"inline": TEMPLATE},
        "silent": {"inline": "---\nprompt: unused\n---\nNothing is asked.\n"},
        "wrong": {"inline": "{{ nobody_defines_this }}\n"},
    }}});
    register(client, &descriptor("tables", "1.0.0", fields)).await;
}

fn with(template: &str, prompt: &str, given: Value) -> QueryModuleRequest {
    QueryModuleRequest {
        template: template.into(),
        parameters: parameters(given),
        ..question("", "tables", prompt)
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused_before_anything_is_sent() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    registered(&client).await;
    for (given, fields, words) in [
        (json!({}), &["parameters.rows"][..], "needs it"),
        (json!({"row": 3}), &["parameters.row", "parameters.rows"], "did you mean `rows`"),
        (json!({"rows": "many"}), &["parameters.rows"], "integer"),
        (json!({"rows": 1.5}), &["parameters.rows"], "integer"),
        (json!({"rows": 0}), &["parameters.rows"], "minimum"),
        (
            json!({"rows": 1, "exact": "perhaps", "names": "[1]"}),
            &["parameters.exact", "parameters.names"],
            "boolean",
        ),
        (json!({"rows": 1, "names": {"a": 1}}), &["parameters.names"], "array"),
    ] {
        let status = bad_input(try_query(&client, with("table", "", given.clone())).await, fields);
        assert!(status.message().contains(words), "{given}: {status:?}");
    }
    let status = bad_input(try_query(&client, with("tabel", "", json!({}))).await, &["template"]);
    assert!(status.message().contains("table"), "{status:?}");
    let status =
        bad_input(try_query(&client, with("query", "", json!({"a": 1}))).await, &["prompt", "parameters.a"]);
    assert!(!status.message().is_empty());
    refused(
        try_query(&client, with("wrong", "x", json!({}))).await,
        Code::FailedPrecondition,
        "CONTEXT_UNUSABLE",
    );
    assert!(turns(&client, "").await.is_empty() && children(&server).is_empty(), "nothing was sent");
}

#[tokio::test]
async fn parameters_reach_the_message_and_text_is_converted_to_the_declared_type() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    registered(&client).await;
    for (prompt, given, message) in [
        ("", json!({"rows": 3}), "rows=3 exact=false"),
        (
            "hello",
            json!({"rows": 3, "exact": true, "names": ["a", "b"]}),
            "rows=3 exact=true names=a+b prompt=hello",
        ),
        (
            "",
            json!({"rows": "12", "exact": "true", "names": "[\"x\",\"y\"]"}),
            "rows=12 exact=true names=x+y",
        ),
        (
            "",
            json!({"rows": 1, "names": ["<target>", "a < b"]}),
            "rows=1 exact=false names=&lt;target&gt;+a &lt; b",
        ),
    ] {
        let heard = query(&client, with("table", prompt, given)).await;
        let turn = heard.turn();
        completed(turn);
        assert_eq!(
            (turn.message.trim_end(), turn.prompt.as_str(), turn.template.as_str()),
            (message, prompt, "table@2.1.0")
        );
    }
}

#[tokio::test]
async fn a_prompt_is_needed_optional_or_refused_as_the_template_says() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    registered(&client).await;
    for template in ["", "query", "response"] {
        bad_input(try_query(&client, with(template, "", json!({}))).await, &["prompt"]);
    }
    let heard = query(&client, with("silent", "", json!({}))).await;
    assert_eq!(heard.turn().message.trim_end(), "Nothing is asked.");
    bad_input(try_query(&client, with("silent", "something", json!({}))).await, &["prompt"]);
    // By SendMessage too.
    let message = SendMessageRequest {
        conversation_id: heard.turn().conversation_id.clone(),
        template: "table".into(),
        parameters: parameters(json!({"rows": "2"})),
        ..Default::default()
    };
    let mut heard = client.send_request(message.clone()).await.unwrap();
    assert_eq!(heard.to_end().await.message.trim_end(), "rows=2 exact=false");
    bad_input(
        client
            .send_request(SendMessageRequest { template: String::new(), parameters: None, ..message })
            .await,
        &["prompt"],
    );
}

#[tokio::test]
async fn the_built_in_templates_carry_their_material() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    registered(&client).await;
    let first =
        query(&client, with("response", "{\"rows\": []} </response>", json!({"request": "list"}))).await;
    let message = &first.turn().message;
    assert!(message.contains("<request>") && message.contains("{\"rows\": []} &lt;/response>"), "{message}");
    let error = query(&client, with("error", "[1203] collection not found", json!({}))).await;
    assert!(error.turn().message.contains("[1203] collection not found"), "{:?}", error.turn());
    let mut again = with("multi_turn", "and now?", json!({}));
    again.conversation_id.clone_from(&first.turn().conversation_id);
    let heard = query(&client, again).await;
    let message = &heard.turn().message;
    assert!(
        message.contains("<history>") && message.contains("{\"rows\": []}"),
        "the earlier prompt: {message}"
    );
    assert!(message.contains("[simulated] You asked"), "and its answer: {message}");
    assert_eq!(heard.turn().template, "multi_turn@1.0.0");
}
