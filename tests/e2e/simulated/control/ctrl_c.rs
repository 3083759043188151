//! Ctrl-C in every command that shows a turn: the first cancels the turn, the second leaves it.

use std::process::Stdio;

use claude_comms_tests::{Ran, TestServer, processes, within};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::support::{TURNS, instance, start_with_module};
use crate::simulated::support::{cancel, cancelled, completed, get, playing_turns};

/// Starts a command and reads until the first text; returns the turn too.
async fn streaming(
    server: &TestServer,
    arguments: &[&str],
) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    let arguments = [arguments, &["--output", "json"]].concat();
    let mut child = server.cli_command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = within("text", lines.next_line()).await.unwrap().expect("it streams");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["textDelta"].is_object() {
            return (child, lines, event["turnId"].as_str().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn the_first_one_cancels_the_turn_in_every_command_that_asks() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_with_module(&client, "one").await;
    let conversation = started.conversation_id.as_str();
    for command in [
        &["query-instance", "--id", "one", "hang"][..],
        &["continue-conversation", "--id", conversation, "hang"],
        &["query-module", "arangodb", "hang", "--conversation", conversation],
        &["query-module", "arangodb", "hang"],
    ] {
        let (child, mut lines, turn) = streaming(&server, command).await;
        processes::signal(child.id().unwrap(), Signal::INT);
        let mut last = String::new();
        while let Some(line) = within("the end", lines.next_line()).await.unwrap() {
            last = line;
        }
        let ran: Ran = within("the end", child.wait_with_output()).await.unwrap().into();
        let ran = ran.expect(130);
        assert!(ran.stderr.contains("cancelling the turn"), "{command:?}: {ran:?}");
        let event: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(
            event["cancelled"]["turn"]["failure"]["reason"], "CANCEL_REQUESTED",
            "{command:?}: {last}"
        );
        cancelled(&get(&client, &turn).await, "CANCEL_REQUESTED");
    }
    completed(client.ask(conversation, "a good one").await.turn());
    assert_eq!(instance(&client, "one").await.process_id, started.process_id, "the process stays");
}

#[tokio::test]
async fn the_second_one_leaves_a_turn_that_does_not_end() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_with_module(&client, "one").await;
    let (mut child, _lines, turn) = streaming(&server, &["query-instance", "--id", "one", "hang"]).await;
    // It cannot heed the interrupt while it stands still.
    processes::signal(started.process_id, Signal::STOP);
    let pid = child.id().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    processes::signal(pid, Signal::INT);
    let note = within("a note", notes.next_line()).await.unwrap().unwrap();
    assert!(note.contains("Ctrl-C again"), "{note}");
    processes::signal(pid, Signal::INT);
    let hint = within("a hint", notes.next_line()).await.unwrap().unwrap();
    assert!(hint.contains("wait-turn") && hint.contains(&turn), "{hint}");
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(130));
    processes::signal(started.process_id, Signal::CONT);
    // The second one came so soon that the first may not have been heard.
    cancelled(&cancel(&client, &turn).await, "CANCEL_REQUESTED");
}
