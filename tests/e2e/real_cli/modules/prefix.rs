//! What the model was told stays as it was told, byte for byte: over turns, new processes and restarts of the server, and
//! whatever becomes of the modules meanwhile. Caching of prompts lives on that.

use claude_comms_proto::v1::{UnregisterModuleRequest, turn_event::Event};
use claude_comms_tests::{Reply, messages_api::Request};
use serde_json::{Value, json};

use super::asking::{between, context_of, conversation_of, further, module, with_oauth_token};
use crate::real_cli::stage::{Stage, assert_answer, count};

/// The messages as they are, but for two things that are the CLI's and no text: the marks that say where a cache should
/// end move on with the conversation, and a content of one text stands as a string where it has no such mark.
fn messages(request: &Request) -> Vec<String> {
    request.body["messages"].as_array().unwrap().iter().map(|message| unmarked(message).to_string()).collect()
}

fn unmarked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "cache_control")
            .map(|(name, value)| match value {
                Value::String(text) if name == "content" => {
                    (name.clone(), json!([{"type": "text", "text": text}]))
                }
                value => (name.clone(), unmarked(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(unmarked).collect(),
        other => other.clone(),
    }
}

#[track_caller]
fn assert_prefixes(requests: &[Request]) {
    for pair in requests.windows(2) {
        let [before, after] = pair else { unreachable!("windows of two") };
        assert_eq!(context_of(after), context_of(before));
        assert_eq!(unmarked(&after.body["system"]), unmarked(&before.body["system"]), "the CLI's blocks too");
        assert_eq!(after.body["tools"], before.body["tools"]);
        let (earlier, later) = (messages(before), messages(after));
        assert_eq!(later[..earlier.len()], earlier, "all earlier messages are the same bytes");
        // With a token the CLI tells each new process where it runs now, in a message of its own at the end.
        let said = |message: &&String| !message.contains(r#""role":"system""#);
        let more = later[earlier.len()..].iter().filter(said).count();
        assert_eq!(more, 2, "an answer and a question more: {later:#?}");
    }
}

fn answer(number: usize) -> String {
    format!("answer {number}: <b>é😀</b> \"quoted\" \\ \n```aql\nRETURN {number}\n```\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn over_five_turns_everything_before_is_the_same_bytes() {
    let stage = Stage::new().await;
    stage.register(&module("asker", "asker", json!({}))).await;
    let mut conversation = String::new();
    for number in 1..=5 {
        stage.api.queue(Reply::text(answer(number)));
        let prompt = format!("question {number}\n<question>é😀</question> \\\" \t@/etc/hostname");
        let request = match number {
            1 => between("asker", "arangodb", prompt),
            _ => further(&conversation, prompt),
        };
        let heard = stage.query_module(request).await;
        assert_answer(&heard, &answer(number));
        conversation = conversation_of(&heard).to_owned();
        let template = if number == 1 { "query@1.0.0" } else { "follow_up@1.0.0" };
        assert_eq!(heard.turn().template, template);
        // What becomes of the modules changes no conversation that is under way.
        let role = json!({"version": format!("1.{number}.0"), "context": {"role": "You are somebody else."}});
        stage.register(&module("asker", "changed", role)).await;
    }
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 5);
    assert_prefixes(&requests);
    assert!(context_of(&requests[4]).contains("asker-role"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_new_processes_and_restarts_everything_before_is_the_same_bytes() {
    over_new_processes_and_restarts(Stage::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_new_processes_and_restarts_everything_before_is_the_same_bytes_with_an_oauth_token_too() {
    over_new_processes_and_restarts(with_oauth_token().await).await;
}

async fn over_new_processes_and_restarts(mut stage: Stage) {
    stage.register(&module("asker", "asker", json!({}))).await;
    let mut conversation = String::new();
    for number in 1..=4 {
        stage.api.queue(Reply::text(answer(number)));
        let request = match number {
            1 => between("asker", "arangodb", "question 1"),
            _ => further(&conversation, format!("question {number}")),
        };
        let heard = stage.query_module(request).await;
        assert_answer(&heard, &answer(number));
        assert_eq!(count(&heard, |event| matches!(event, Event::SessionReset(_))), 0);
        conversation = conversation_of(&heard).to_owned();
        match number {
            1 => stage.kill_claude().await,
            2 => {
                let request = UnregisterModuleRequest { name: "asker".into() };
                stage.client.modules.clone().unregister_module(request).await.unwrap();
                stage.crash().await;
                stage.restart().await;
            }
            3 => {
                assert_eq!(stage.server.terminate().await.code, Some(0));
                stage.restart().await;
            }
            _ => {}
        }
    }
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 4);
    assert_prefixes(&requests);
}
