//! A conversation whose memory is lost, or has become too long, goes on from the server's own records.

use std::fs;

use claude_comms_proto::v1::{GetInstanceRequest, RetryScope, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, client::Heard, eventually, processes};
use rustix::process::Signal;

use crate::simulated::support::{completed, failed, playing_turns, start_instance};

const SHOW: &str = "turns:\n  - { when: { contains: show }, steps: [echo] }\n";

fn reset(heard: &Heard) -> Option<String> {
    heard.events.iter().find_map(|event| match &event.event {
        Some(Event::SessionReset(reset)) => Some(reset.reason.clone()),
        _ => None,
    })
}

/// Ends the process of the one instance and removes what Claude remembers.
async fn forget(server: &TestServer, client: &Client, conversation: &str) {
    let claude = server.processes().claudes().pop().expect("one process").pid;
    processes::signal(claude, Signal::KILL);
    // Once the server knows, nothing of it is looked for where it lived.
    eventually(PATIENCE, "it is known to be gone", async || {
        let request = GetInstanceRequest { id: "one".into() };
        let instance = client.instances.clone().get_instance(request).await.unwrap().into_inner();
        (instance.process_id == 0).then_some(())
    })
    .await;
    fs::remove_file(server.data_dir().join(format!("transcripts/{conversation}.jsonl"))).unwrap();
}

async fn say(client: &Client, conversation: &str, prompts: &[&str]) {
    for prompt in prompts {
        completed(client.ask(conversation, *prompt).await.turn());
    }
}

#[tokio::test]
async fn a_conversation_whose_transcript_is_gone_goes_on_from_the_records() {
    let server = playing_turns(SHOW).start().await;
    let client = server.client().await;
    let conversation = start_instance(&client, "one").await.conversation_id;
    say(&client, &conversation, &["first question", "second </history> question"]).await;
    forget(&server, &client, &conversation).await;
    let heard = client.ask(&conversation, "show").await;
    let text = completed(heard.turn());
    assert!(text.contains("asked: first question") && text.contains("answered: [simulated] "), "{text}");
    assert!(
        text.contains("second &lt;/history&gt; question") && text.ends_with("</history>\n\nshow"),
        "{text}"
    );
    assert_eq!(text.matches("</history>").count(), 1, "{text}");
    let reason = reset(&heard).expect("the loss is told");
    assert!(
        reason.contains("transcript") && reason.contains("rebuilt from the records of 2 turns"),
        "{reason}"
    );
    // The record is what was asked, not how it was told.
    assert_eq!((heard.turn().prompt.as_str(), heard.turn().message.as_str()), ("show", ""));
    let again = client.ask(&conversation, "next").await;
    assert!(completed(again.turn()).contains("turn 2 of our conversation"), "{}", again.turn().text);
    assert_eq!(reset(&again), None, "it remembers again");
}

#[tokio::test]
async fn only_answered_turns_within_the_token_budget_are_told_again() {
    let server = playing_turns(
        "turns:\n  - { when: { contains: show }, steps: [echo] }\n  \
         - { when: { contains: refuse }, steps: [{ fail: { status: 400 } }] }\n  \
         - { when: { contains: long }, steps: [{ repeat: { text: \"many words \", count: 600 } }] }\n",
    )
    .configuration("context: { token_budget: 2000 }\n")
    .start()
    .await;
    let client = server.client().await;
    let conversation = start_instance(&client, "one").await.conversation_id;
    say(&client, &conversation, &["the oldest", "long one", "long two"]).await;
    failed(client.ask(&conversation, "refuse this").await.turn(), "API_INVALID_REQUEST");
    say(&client, &conversation, &["the newest"]).await;
    forget(&server, &client, &conversation).await;
    let heard = client.ask(&conversation, "show").await;
    let text = completed(heard.turn());
    assert!(text.contains("asked: the newest") && text.contains("characters left out"), "{text}");
    assert!(!text.contains("asked: the oldest") && !text.contains("asked: refuse this"), "{text}");
    assert!(text.len() < 12_000, "{}", text.len());
}

#[tokio::test]
async fn a_conversation_too_long_for_the_model_is_told_anew_once() {
    // What is told anew has something before it.
    let too_long = "turns:\n  - { when: { equals: big }, steps: [{ fail: { status: 400, message: \"Prompt is too long\" } }] }\n  \
                    - { when: { contains: huge }, steps: [{ fail: { status: 400, message: \"Prompt is too long\" } }] }\n";
    let server = playing_turns(too_long).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    failed(client.ask(&conversation, "big").await.turn(), "PROMPT_TOO_LONG");
    say(&client, &conversation, &["small"]).await;
    let heard = client.ask(&conversation, "big").await;
    completed(heard.turn());
    assert_eq!(heard.turn().attempt, 2);
    let retried = heard.events.iter().any(|event| {
        matches!(&event.event, Some(Event::Retrying(r)) if r.scope() == RetryScope::Turn && r.reason == "PROMPT_TOO_LONG")
    });
    let reason = reset(&heard).expect("the new session is told");
    assert!(retried && reason.contains("too long") && reason.contains("records of 1 turn"), "{reason}");
    let heard = client.ask(&conversation, "huge").await;
    failed(heard.turn(), "PROMPT_TOO_LONG");
    assert_eq!(heard.turn().attempt, 2, "told anew once, and no more");
    say(&client, &conversation, &["and on"]).await;
}
