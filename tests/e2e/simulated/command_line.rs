//! The command line as scripts use it: JSON of one shape, short IDs, standard input, Ctrl-C.

use std::process::Stdio;

use claude_comms_tests::{Ran, TestServer, processes, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::support::{HANG_ON_REQUEST, cancelled, get, playing, playing_turns, start_instance};

/// Runs a command that must succeed and prints its JSON.
async fn json(server: &TestServer, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    server.cli(&arguments).await.expect(0).json()
}

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no {key} in {value}");
    }
}

const INSTANCE: &[&str] = &[
    "id",
    "name",
    "state",
    "backend",
    "model",
    "conversationId",
    "processId",
    "processGeneration",
    "turnCount",
    "usage",
    "costUsd",
    "memoryBytes",
    "createTime",
    "lastActiveTime",
    "pinned",
];
const CONVERSATION: &[&str] =
    &["id", "title", "state", "turnCount", "usage", "costUsd", "labels", "createTime", "updateTime"];
const TURN: &[&str] = &[
    "id",
    "conversationId",
    "state",
    "prompt",
    "text",
    "usage",
    "costUsd",
    "instanceId",
    "attempt",
    "inContext",
    "partialText",
    "truncatedFields",
    "requestId",
    "createTime",
];

#[tokio::test]
async fn every_command_prints_the_json_of_the_contract() {
    let server = TestServer::simulated().start().await;
    assert_eq!(json(&server, &["list-instances"]).await, json!({"instances": [], "nextPageToken": ""}));
    assert_eq!(
        json(&server, &["list-conversations"]).await,
        json!({"conversations": [], "nextPageToken": ""})
    );
    assert_eq!(json(&server, &["list-turns"]).await, json!({"turns": [], "nextPageToken": ""}));

    let instance =
        json(&server, &["start-instance", "--name", "one", "--model", "m", "--system-prompt", "s"]).await;
    has_keys(&instance, INSTANCE);
    assert_eq!(
        (&instance["state"], &instance["name"], &instance["model"]),
        (&"INSTANCE_STATE_IDLE".into(), &"one".into(), &"m".into())
    );
    assert_eq!(json(&server, &["show-instance", "--id", "one"]).await["id"], instance["id"]);
    let list = json(&server, &["list-instances"]).await;
    assert_eq!(list["instances"][0]["id"], instance["id"]);
    assert!(
        list["instances"][0]["memoryBytes"].as_str().unwrap().parse::<u64>().unwrap() > 0,
        "64-bit numbers are texts: {list}"
    );

    let made = json(&server, &["create-conversation", "--title", "T", "--label", "a=b"]).await;
    has_keys(&made, CONVERSATION);
    assert_eq!((&made["title"], &made["labels"]), (&"T".into(), &json!({"a": "b"})));
    let id = made["id"].as_str().unwrap();
    let submitted = json(&server, &["continue-conversation", "--id", id, "hello", "--background"]).await;
    has_keys(&submitted, TURN);
    let turn = submitted["id"].as_str().unwrap();
    let waited = json(&server, &["wait-turn", "--id", turn]).await;
    has_keys(&waited, TURN);
    has_keys(&waited, &["startTime", "firstTokenTime", "endTime"]);
    assert_eq!(waited["state"], "TURN_STATE_COMPLETED");
    assert_eq!(json(&server, &["show-turn", "--id", turn]).await, waited);
    for state in ["COMPLETED", "TURN_STATE_COMPLETED", "completed"] {
        let list = json(&server, &["list-turns", "--conversation", id, "--state", state]).await;
        assert_eq!((list["turns"].as_array().unwrap().len(), &list["turns"][0]["id"]), (1, &waited["id"]));
    }
    assert_eq!(json(&server, &["list-turns", "--state", "FAILED"]).await["turns"], json!([]));
    let shown = json(&server, &["show-conversation", "--id", id]).await;
    has_keys(&shown, CONVERSATION);
    assert_eq!(shown["turnCount"], 1);
    assert_eq!(json(&server, &["list-conversations"]).await["conversations"].as_array().unwrap().len(), 2);

    let stopped = json(&server, &["stop-instance", "--id", "one"]).await;
    has_keys(&stopped, INSTANCE);
    has_keys(&stopped["exit"], &["code", "reason", "stderr", "time"]);
    assert_eq!(
        json(&server, &["list-instances"]).await["instances"].as_array().unwrap().len(),
        1,
        "the pool's own"
    );
    assert_eq!(json(&server, &["list-instances", "--all"]).await["instances"].as_array().unwrap().len(), 2);
    let status = json(&server, &["status"]).await;
    has_keys(
        &status,
        &[
            "version",
            "serverId",
            "backend",
            "startTime",
            "endpoints",
            "draining",
            "runningTurns",
            "queuedTurns",
        ],
    );
    assert_eq!(status["processId"], server.pid());
    has_keys(&json(&server, &["version"]).await, &["version"]);
}

#[tokio::test]
async fn a_stream_prints_one_event_a_line_and_its_text_is_the_answer() {
    let server = playing("tool_round").start().await;
    let client = server.client().await;
    start_instance(&client, "one").await;
    let ran = server.cli(&["query-instance", "--id", "one", "hello", "--output", "json"]).await.expect(0);
    let events = ran.json_lines();
    assert!(events[0]["accepted"].is_object(), "{}", events[0]);
    let kinds = ["accepted", "started", "textDelta", "toolCall", "toolResult", "textReset", "completed"];
    for kind in kinds {
        assert!(events.iter().any(|event| event[kind].is_object()), "no {kind} in {}", ran.stdout);
    }
    let end = &events.last().unwrap()["completed"]["turn"];
    has_keys(end, TURN);
    assert_eq!(end["text"], "It is sunny.");
    let plain = server.cli(&["query-instance", "--id", "one", "hello"]).await.expect(0);
    assert_eq!(plain.stdout, "It is sunny.\n", "without a terminal only the answer is on standard output");
    let quiet = server.cli(&["query-instance", "--id", "one", "hello", "--quiet"]).await.expect(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("It is sunny.\n", ""));
    let yaml = server.cli(&["show-instance", "--id", "one", "--output", "yaml"]).await.expect(0);
    assert!(
        yaml.stdout.contains("turnCount: 3") && yaml.stdout.contains("state: INSTANCE_STATE_IDLE"),
        "{}",
        yaml.stdout
    );
}

#[tokio::test]
async fn a_failed_turn_is_exit_1_with_its_json_and_showing_it_is_exit_0() {
    let server = playing("api_529").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let ran = server
        .cli(&["continue-conversation", "--id", &conversation, "x", "--output", "json"])
        .await
        .expect(1);
    let events = ran.json_lines();
    let turn = &events.last().unwrap()["failed"]["turn"];
    assert_eq!(
        (&turn["state"], &turn["failure"]["reason"]),
        (&"TURN_STATE_FAILED".into(), &"API_OVERLOADED".into())
    );
    assert!(ran.stderr.contains("API_OVERLOADED"), "{}", ran.stderr);
    let id = turn["id"].as_str().unwrap();
    let waited = server.cli(&["wait-turn", "--id", id, "--output", "json"]).await.expect(1);
    assert_eq!(waited.json()["failure"]["reason"], "API_OVERLOADED");
    let shown = server.cli(&["show-turn", "--id", id]).await.expect(0);
    assert!(shown.stdout.contains("FAILED") && shown.stdout.contains("API_OVERLOADED"), "{}", shown.stdout);
}

#[tokio::test]
async fn ids_may_be_shortened_to_their_end_or_their_beginning() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let turn = client.ask(&instance.conversation_id, "hello").await.turn().id.clone();
    for (command, id) in [
        ("show-instance", &instance.id),
        ("show-conversation", &instance.conversation_id),
        ("show-turn", &turn),
        ("wait-turn", &turn),
    ] {
        let upper = id.to_uppercase();
        for text in [&id[id.len() - 8..], &id[id.len() - 4..], &id[..30], id, &upper] {
            assert_eq!(json(&server, &[command, "--id", text]).await["id"], *id, "{command} {text}");
        }
    }
}

#[tokio::test]
async fn a_prompt_of_a_dash_is_standard_input_byte_for_byte() {
    let server = playing("echo_fast").start().await;
    let client = server.client().await;
    start_instance(&client, "one").await;
    let prompt =
        format!("line one\n\ttab \"quotes\" é😀 {{\"type\":\"user\"}}\n/clear\n{}", "long ".repeat(20_000));
    let mut command = server.cli_command(&["query-instance", "--id", "one", "-", "--output", "json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(prompt.as_bytes()).await.unwrap();
    drop(stdin);
    let ran: Ran = within("the answer", child.wait_with_output()).await.unwrap().into();
    let events = ran.expect(0).json_lines();
    let text: String = events.iter().filter_map(|event| event["textDelta"]["text"].as_str()).collect();
    assert_eq!(text, prompt);
    assert_eq!(events.last().unwrap()["completed"]["turn"]["prompt"], prompt);
}

/// Runs a command until its first text, then signals it; returns the turn's ID and how it ended.
async fn interrupted(server: &TestServer, arguments: &[&str]) -> (String, Ran) {
    let mut child = server.cli_command(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let turn = loop {
        let line = within("text", lines.next_line()).await.unwrap().expect("it streams");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["textDelta"].is_object() {
            break event["turnId"].as_str().unwrap().to_owned();
        }
    };
    processes::signal(child.id().unwrap(), rustix::process::Signal::INT);
    let mut stdout = String::new();
    while let Some(line) = within("the end", lines.next_line()).await.unwrap() {
        stdout = line;
    }
    let mut ran: Ran = within("the end", child.wait_with_output()).await.unwrap().into();
    ran.stdout = stdout;
    (turn, ran)
}

#[tokio::test]
async fn ctrl_c_in_a_query_cancels_the_turn_and_exits_130() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let (turn, ran) =
        interrupted(&server, &["query-instance", "--id", "one", "hang", "--output", "json"]).await;
    let ran = ran.expect(130);
    assert_eq!(ran.json()["cancelled"]["turn"]["failure"]["reason"], "CANCEL_REQUESTED", "{ran:?}");
    let turn = get(&client, &turn).await;
    cancelled(&turn, "CANCEL_REQUESTED");
    assert_eq!(turn.partial_text, "Hanging");
    let next = server.cli(&["query-instance", "--id", "one", "next"]).await.expect(0);
    assert!(next.stdout.contains("[simulated]"), "{}", next.stdout);
    let shown = json(&server, &["show-instance", "--id", "one"]).await;
    assert_eq!(shown["processId"], instance.process_id, "the process stays");
}

#[tokio::test]
async fn ctrl_c_in_a_wait_leaves_the_turn_alone() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = super::support::submit_running(&client, &conversation, "hang").await;
    let child = server.cli_command(&["wait-turn", "--id", running.turn_id()]).spawn().unwrap();
    let pid = child.id().unwrap();
    // SIGINT before the handler is there would kill it outright: it waits once it has caught the signal.
    claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "it catches SIGINT", async || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        (u64::from_str_radix(&caught, 16).ok()? & 0b10 != 0).then_some(())
    })
    .await;
    processes::signal(pid, rustix::process::Signal::INT);
    let ran: Ran = within("the end", child.wait_with_output()).await.unwrap().into();
    let ran = ran.expect(130);
    assert!(ran.stderr.contains("wait-turn"), "{}", ran.stderr);
    assert_eq!(get(&client, running.turn_id()).await.state(), claude_comms_proto::v1::TurnState::Running);
}
