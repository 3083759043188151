//! Who may call, who may read, and what is never written down.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use claude_comms_proto::v1::{CreateConversationRequest, GetServerInfoRequest};
use claude_comms_tests::{Client, Ran, TestServer, client::reason};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

use super::support::{HANG_ON_REQUEST, cancel, playing_turns, submit_running, wait};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn only_its_user_can_reach_the_socket_the_token_and_the_data() {
    let server = TestServer::simulated().tcp().start().await;
    let client = server.client().await;
    client.ask(&client.new_conversation().await, "hello").await;
    let socket = server.world().socket();
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    let data = server.data_dir();
    assert_eq!((mode(&data), mode(&data.join("token"))), (0o700, 0o600));
    let mut looked_at = 0;
    let mut below = vec![data];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if !kind.is_symlink() {
                assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
                looked_at += 1;
            }
            if kind.is_dir() {
                below.push(path);
            }
        }
    }
    assert!(looked_at > 5, "store, token, transcript and the instance's directories: {looked_at}");
}

#[tokio::test]
async fn tcp_wants_the_token_for_all_but_health() {
    let server = TestServer::simulated().tcp().start().await;
    let token = server.token();
    let almost = format!("{}x", &token[..token.len() - 1]);
    for wrong in [None, Some("wrong"), Some(almost.as_str()), Some("")] {
        let client = Client::connect(server.tcp(), wrong).await;
        let status = client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "TOKEN_REQUIRED"),
            "{wrong:?}"
        );
        assert!(!status.message().contains(&token), "{status:?}");
        client.health.clone().check(HealthCheckRequest::default()).await.expect("health is open");
    }
    server.tcp_client().await.diagnostics.get_server_info(GetServerInfoRequest {}).await.unwrap();
}

#[tokio::test]
async fn the_command_line_finds_the_token_and_says_what_is_missing_without_it() {
    let server = TestServer::simulated().tcp().start().await;
    let tcp = server.tcp().to_owned();
    let _ = server.cli(&["status", "--server", &tcp]).await.expect(0);
    let elsewhere = server.world().temporary_dir();
    let without = || {
        let mut command = server.cli_command(&["status", "--server", &tcp]);
        command.env("HOME", &elsewhere);
        command
    };
    let ran = Ran::to_end(without()).await.expect(6);
    assert!(ran.stderr.contains("TOKEN_REQUIRED") && ran.stderr.contains("--token-file"), "{}", ran.stderr);
    let mut wrong = without();
    wrong.env("CLAUDE_COMMS_TOKEN", "wrong");
    let ran = Ran::to_end(wrong).await.expect(6);
    assert!(ran.stderr.contains("wrong"), "{}", ran.stderr);
    let mut absent = without();
    absent.args(["--token-file", "/nonexistent/token"]);
    let ran = Ran::to_end(absent).await.expect(6);
    assert!(ran.stderr.contains("/nonexistent/token"), "{}", ran.stderr);
    let mut file = without();
    file.arg("--token-file").arg(server.data_dir().join("token"));
    let _ = Ran::to_end(file).await.expect(0);
    let mut variable = without();
    variable.env("CLAUDE_COMMS_TOKEN", server.token());
    let _ = Ran::to_end(variable).await.expect(0);
}

#[tokio::test]
async fn a_token_file_that_others_can_read_is_refused_and_the_token_stays_over_restarts() {
    let mut server = TestServer::simulated().tcp().start().await;
    let token = server.token();
    assert_eq!(server.terminate().await.code, Some(0));
    let file = server.data_dir().join("token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let data = server.data_dir().to_string_lossy().into_owned();
    let serve = ["serve", "--backend", "simulated", "--data-dir", &data, "--listen", "http://127.0.0.1:0"];
    let ran = Ran::to_end({
        let mut command = server.world().command(&claude_comms_tests::tools::server_binary());
        command.args(serve);
        command
    })
    .await
    .expect(1);
    assert!(ran.stderr.contains("chmod 600") && !ran.stderr.contains(&token), "{}", ran.stderr);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    server.restart().await;
    assert_eq!(server.token(), token);
}

#[tokio::test]
async fn without_authentication_the_server_warns() {
    let server = TestServer::simulated().tcp().configuration("auth: {mode: none}\n").start().await;
    let client = Client::connect(server.tcp(), None).await;
    client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    assert!(server.log().contains("auth.mode is none"), "{}", server.log());
    assert!(!server.data_dir().join("token").exists(), "no token is made that nobody needs");
}

#[tokio::test]
async fn prompts_answers_tokens_and_environments_are_neither_logged_nor_in_arguments() {
    const PROMPT: &str = "hang-Xyzzy-prompt";
    const SYSTEM: &str = "Plugh-system-prompt";
    const VALUE: &str = "Frotz-environment";
    let server = playing_turns(&format!(
        "{HANG_ON_REQUEST}  - {{ when: {{ contains: crash }}, steps: [{{ crash: kill }}] }}\n"
    ))
    .tcp()
    .arguments(&["--verbose"])
    .configuration(format!("claude: {{environment: {{MY_SECRET: {VALUE}}}}}\nretry: {{max_attempts: 1}}\n"))
    .start()
    .await;
    let client = server.tcp_client().await;
    let create = CreateConversationRequest { system_prompt: SYSTEM.into(), ..Default::default() };
    let conversation =
        client.conversations.clone().create_conversation(create).await.unwrap().into_inner().id;
    let heard = client.ask(&conversation, "Xyzzy-first").await;
    assert!(heard.text.contains(SYSTEM), "the system prompt did arrive: {}", heard.text);
    let mut running = submit_running(&client, &conversation, PROMPT).await;
    for process in server.processes().all() {
        let arguments = process.arguments.join(" ");
        for secret in ["Xyzzy", SYSTEM, VALUE, &server.token()] {
            assert!(!arguments.contains(secret), "{secret} is in the arguments of {process:?}");
        }
    }
    cancel(&client, running.turn_id()).await;
    running.to_end().await;
    client.ask(&conversation, "Xyzzy crash").await;
    let refused = client.send(&conversation, "Xyzzy\0").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let turn = super::support::submit(&client, &conversation, "Xyzzy-last").await;
    wait(&client, &turn.id).await;

    let log = server.log();
    assert!(log.contains("DEBUG") || log.contains("INFO"), "the log is on: {log}");
    for secret in ["Xyzzy", SYSTEM, VALUE, "Hanging", "[simulated]", &server.token()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
