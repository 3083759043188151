//! `watch-conversation`: an event a line for programs, the text under head lines for people, Ctrl-C to leave.

use std::process::Stdio;

use claude_comms_tests::{Ran, TestServer, processes, within};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::simulated::support::{playing, submit};

/// Runs the command until it has printed a line with this word, then presses Ctrl-C.
async fn until_ctrl_c(server: &TestServer, arguments: &[&str], word: &str) -> Ran {
    let mut command = server.cli_command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stdout = String::new();
    while let Some(line) = within("a line of the watch", lines.next_line()).await.unwrap() {
        stdout.push_str(&line);
        stdout.push('\n');
        if line.contains(word) {
            processes::signal(child.id().unwrap(), Signal::INT);
            break;
        }
    }
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    let status = within("the end of the command", child.wait()).await.unwrap();
    Ran { code: status.code(), stdout, stderr }
}

#[tokio::test]
async fn programs_get_an_event_a_line_and_can_go_on_from_any() {
    let server = playing("by_prompt").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    let short = &conversation[conversation.len() - 8..];
    let arguments = ["watch-conversation", "--id", short, "--output", "json", "--from", "0"];
    let ran = until_ctrl_c(&server, &arguments, "\"completed\"").await.expect(130);
    let lines = ran.json_lines();
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["sequence"]).collect();
    assert_eq!(numbers.first(), Some(&&Value::from("1")), "{numbers:?}");
    assert!(lines.iter().all(|line| line["conversationId"] == conversation.as_str()), "{}", ran.stdout);
    let text: String = lines.iter().filter_map(|line| line["turn"]["textDelta"]["text"].as_str()).collect();
    assert_eq!(text, heard.text);

    let arguments = ["watch-conversation", "--id", short, "--output", "json", "--from", "2"];
    let ran = until_ctrl_c(&server, &arguments, "\"completed\"").await.expect(130);
    assert!(!ran.stdout.contains("\"accepted\""), "{}", ran.stdout);
    let beyond = server.cli(&["watch-conversation", "--id", short, "--from", "99"]).await.expect(2);
    assert!(beyond.stderr.contains("after_sequence"), "{}", beyond.stderr);
    let unknown = server.cli(&["watch-conversation", "--id", "ffffffff"]).await.expect(4);
    assert!(unknown.stderr.contains("ffffffff"), "{}", unknown.stderr);
}

#[tokio::test]
async fn people_see_each_turn_under_its_prompt() {
    let server = playing("by_prompt").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "what is new?").await;
    let last = heard.text.lines().last().unwrap().to_owned();
    let arguments = ["watch-conversation", "--id", &conversation, "--from", "0"];
    let ran = until_ctrl_c(&server, &arguments, &last).await.expect(130);
    let head = ran.stdout.find("── turn").expect("a head line");
    let prompt = ran.stdout.find("> what is new?").expect("the prompt");
    assert!(head < prompt && prompt < ran.stdout.find(&last).unwrap(), "{}", ran.stdout);
    assert!(ran.stderr.contains("Ctrl-C leaves"), "{}", ran.stderr);

    // It ends with --timeout too, and leaves what it watched alone.
    let command = server.cli_command(&["watch-conversation", "--id", &conversation, "--timeout", "200ms"]);
    let timed_out = Ran::to_end(command).await.expect(124);
    assert!(timed_out.stdout.is_empty(), "from now on: {}", timed_out.stdout);
    submit(&client, &conversation, "goes on").await;
}
