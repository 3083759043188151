//! Reports of sessions that could not be taken up again.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use claude_comms_proto::v1::{ListInstancesRequest, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually};
use rustix::process::Signal;

use crate::simulated::support::completed;

/// How long finding out may take that a session is not there.
const SOON: Duration = Duration::from_secs(20);

/// A conversation with one turn behind it and no process.
async fn dormant() -> (TestServer, Client, String) {
    let server = TestServer::simulated().configuration("pool: { idle_timeout: 100ms }\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "remember me").await.turn());
    eventually(PATIENCE, "its instance goes", async || {
        let request = ListInstancesRequest::default();
        let list = client.instances.clone().list_instances(request).await.unwrap().into_inner();
        list.instances.iter().all(|instance| instance.conversation_id != conversation).then_some(())
    })
    .await;
    (server, client, conversation)
}

fn transcript(server: &TestServer, conversation: &str) -> PathBuf {
    server.data_dir().join("transcripts").join(format!("{conversation}.jsonl"))
}

/// Asks on; says whether the server told that the session was reset.
async fn goes_on(client: &Client, conversation: &str) -> bool {
    let begin = Instant::now();
    let heard = client.ask(conversation, "and?").await;
    completed(heard.turn());
    assert!(begin.elapsed() < SOON, "it took {:?}", begin.elapsed());
    let reset =
        |event: &&claude_comms_proto::v1::TurnEvent| matches!(event.event, Some(Event::SessionReset(_)));
    let resets = heard.events.iter().filter(reset).count();
    assert!(resets <= 1, "it is told once: {:?}", heard.events);
    // And again, on what it has now.
    let again = client.ask(conversation, "still?").await;
    completed(again.turn());
    assert_eq!(again.events.iter().filter(reset).count(), 0, "{:?}", again.events);
    resets == 1
}

/// tinyhumansai/openhuman#5648: the stored session never existed, and the thread is poisoned for good. Here its file
/// vanished, was emptied, or holds something else.
#[tokio::test]
async fn a_conversation_whose_transcript_vanished_goes_on_and_says_so() {
    let (server, client, conversation) = dormant().await;
    fs::remove_file(transcript(&server, &conversation)).unwrap();
    assert!(goes_on(&client, &conversation).await, "it is told that the memory is another");
}

/// tinyhumansai/openhuman#5648 and anthropics/claude-agent-sdk-python#387 (a bad session waits the full 60 s).
#[tokio::test]
async fn a_conversation_whose_transcript_is_no_session_goes_on_soon() {
    for content in ["", "\n", "no JSON\n", "{\"type\":\"user\"}\n", "{\"type\":\"user\",\"message\":{\"conte"]
    {
        let (server, client, conversation) = dormant().await;
        fs::write(transcript(&server, &conversation), content).unwrap();
        goes_on(&client, &conversation).await;
    }
}

/// anthropics/claude-code#12730: after SIGTERM, "No conversation found".
#[tokio::test]
async fn a_conversation_whose_process_got_a_signal_is_taken_up_with_its_memory() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        let server = TestServer::simulated().start().await;
        let client = server.client().await;
        let conversation = client.new_conversation().await;
        completed(client.ask(&conversation, "remember me").await.turn());
        for claude in server.processes().claudes() {
            claude_comms_tests::processes::signal(claude.pid, signal);
        }
        let heard = client.ask(&conversation, "and?").await;
        let text = completed(heard.turn());
        assert!(text.contains("The one before asked: \"remember me\""), "{signal:?}: {text}");
    }
}
