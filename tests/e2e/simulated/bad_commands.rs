//! What users type wrong, through the command line: an exit code, the thing by its name, and how to mend it.

use claude_comms_tests::{Ran, TestServer};

use super::support::{HANG_ON_REQUEST, completed, playing_turns, start_instance, submit_running, wait};

/// Runs a command that must fail with this code and say these words.
async fn refused(server: &TestServer, arguments: &[&str], code: i32, words: &[&str]) -> Ran {
    let ran = server.cli(arguments).await.expect(code);
    for word in words {
        assert!(ran.stderr.contains(word), "{arguments:?}: no {word:?} in:\n{}", ran.stderr);
    }
    assert!(ran.stdout.is_empty(), "{arguments:?} prints no data: {}", ran.stdout);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found_or_usage() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for command in ["show-turn", "wait-turn", "cancel-turn"] {
        refused(&server, &[command, "--id", &unknown], 4, &["TURN_NOT_FOUND", &unknown]).await;
        refused(&server, &[command, "--id", "ffffffff"], 4, &["ffffffff", "list-turns"]).await;
        refused(&server, &[command, "--id", "abc"], 2, &["abc", "at least 4"]).await;
    }
    for command in ["show-instance", "stop-instance"] {
        refused(&server, &[command, "--id", &unknown], 4, &["INSTANCE_NOT_FOUND", &unknown]).await;
        refused(&server, &[command, "--id", "nobody"], 4, &["nobody", "list-instances"]).await;
        refused(&server, &[command, "--id", "Bad Name"], 4, &["Bad Name"]).await;
    }
    refused(&server, &["query-instance", "--id", "nobody", "x"], 4, &["nobody"]).await;
    refused(&server, &["show-conversation", "--id", &unknown], 4, &["CONVERSATION_NOT_FOUND"]).await;
    refused(
        &server,
        &["continue-conversation", "--id", "nonsense", "x"],
        4,
        &["nonsense", "list-conversations"],
    )
    .await;
    refused(&server, &["list-turns", "--conversation", &unknown], 4, &["CONVERSATION_NOT_FOUND"]).await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    // UUIDv7 share their beginning: the milliseconds.
    refused(&server, &["show-conversation", "--id", &one[..6]], 2, &["more than one", &one, &other]).await;
}

#[tokio::test]
async fn bad_prompts_and_fields_are_usage_and_name_the_field() {
    let server = TestServer::simulated().configuration("limits:\n  prompt_bytes: 1000\n").start().await;
    let conversation = server.client().await.new_conversation().await;
    let ask = ["continue-conversation", "--id", &conversation];
    let long = "x".repeat(1001);
    refused(&server, &[&ask[..], &[""]].concat(), 2, &["prompt", "empty"]).await;
    refused(&server, &[&ask[..], &[&long]].concat(), 2, &["prompt", "1001", "limits.prompt_bytes"]).await;
    refused(&server, &[&ask[..], &["x", "--request-id", "y"]].concat(), 2, &["--request-id"]).await;
    refused(&server, &[&ask[..], &["x", "--turn-timeout", "soon"]].concat(), 2, &["--turn-timeout", "30s"])
        .await;
    refused(
        &server,
        &[&ask[..], &["x", "--turn-timeout", "1000d"]].concat(),
        2,
        &["timeout", "pool.turn_timeout"],
    )
    .await;
    refused(&server, &ask, 2, &["PROMPT"]).await;
    refused(&server, &["start-instance", "--name", "Bad Name"], 2, &["name", "^[a-z]"]).await;
    refused(&server, &["list-turns", "--state", "DONE"], 2, &["QUEUED, RUNNING"]).await;
    refused(&server, &["list-turns", "--since", "yesterday"], 2, &["10m"]).await;
    // A prompt from standard input may hold what no argument can.
    let mut nul = server.cli_command(&[&ask[..], &["-"]].concat());
    let file = server.world().root().join("nul");
    std::fs::write(&file, "a\0b").unwrap();
    nul.stdin(std::fs::File::open(&file).unwrap());
    let ran = Ran::to_end(nul).await.expect(2);
    assert!(ran.stderr.contains("NUL"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_the_state_forbids_fails_with_its_reason() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let turn = client.ask(&instance.conversation_id, "x").await.turn().id.clone();
    refused(&server, &["cancel-turn", "--id", &turn], 1, &["TURN_ALREADY_ENDED", "COMPLETED"]).await;
    refused(&server, &["start-instance", "--name", "one"], 1, &["INSTANCE_NAME_TAKEN", "one"]).await;
    let _ = server.cli(&["stop-instance", "--id", "one"]).await.expect(0);
    refused(&server, &["query-instance", "--id", "one", "x"], 1, &["INSTANCE_STOPPED"]).await;
}

#[tokio::test]
async fn unknown_commands_and_flags_are_usage() {
    let server = TestServer::simulated().start().await;
    refused(&server, &["start-instanc"], 2, &["start-instance"]).await;
    refused(&server, &["status", "--outptu", "json"], 2, &["--output"]).await;
    refused(&server, &["status", "--output", "xml"], 2, &["table", "json", "yaml"]).await;
    refused(&server, &["show-turn"], 2, &["--id"]).await;
    refused(&server, &["status", "--timeout", "soon"], 2, &["--timeout", "30s"]).await;
    refused(&server, &[], 2, &["Usage"]).await;
    let mut command = server.cli_command(&["status"]);
    command.env("CLAUDE_COMMS_OUTPUT", "xml");
    let ran = Ran::to_end(command).await.expect(2);
    assert!(ran.stderr.contains("CLAUDE_COMMS_OUTPUT") && ran.stderr.contains("json"), "{}", ran.stderr);
}

#[tokio::test]
async fn no_server_says_how_to_start_one() {
    let server = TestServer::simulated().start().await;
    let nowhere = format!("unix:{}", server.world().root().join("nobody.sock").display());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [nowhere, format!("http://{closed}")] {
        refused(&server, &["status", "--server", &endpoint], 3, &["claude-comms serve", &endpoint]).await;
    }
    refused(&server, &["status", "--server", "ftp://x"], 2, &["ftp://x", "unix:"]).await;
    refused(&server, &["status", "--server", "unix:relative.sock"], 2, &["unix:"]).await;
}

#[tokio::test]
async fn the_timeout_ends_the_wait_and_never_the_turn() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = submit_running(&client, &conversation, "hang").await;
    let turn = running.turn_id();
    refused(&server, &["wait-turn", "--id", turn, "--timeout", "300ms"], 124, &["300ms", "wait-turn", turn])
        .await;
    let ask =
        ["continue-conversation", "--id", &conversation, "behind", "--timeout", "300ms", "--output", "json"];
    let ran = server.cli(&ask).await.expect(124);
    let behind = ran.json_lines()[0]["turnId"].as_str().unwrap().to_owned();
    assert!(ran.stderr.contains(&behind), "it says how to see the turn again: {}", ran.stderr);
    super::support::cancel(&client, turn).await;
    completed(&wait(&client, &behind).await);
}
