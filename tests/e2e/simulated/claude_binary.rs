//! A Claude Code CLI that is missing, too old, or something else: the server starts and says so, turns are refused with the
//! remedy, and once the CLI is mended no restart is needed. The CLIs here are shell scripts.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use claude_comms_tests::{PATIENCE, TestServer, client::reason, eventually};
use tonic::Code;

use super::support::{refused, try_start_instance, try_submit};

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A server whose CLI is this script; without one the CLI is missing.
async fn with_claude(body: Option<&str>) -> (TestServer, std::path::PathBuf) {
    let builder = TestServer::backend("claude");
    let binary = builder.world().root().join("claude");
    if let Some(body) = body {
        script(&binary, body);
    }
    let server = builder.arguments(&["--claude-binary", &binary.to_string_lossy()]).start().await;
    (server, binary)
}

async fn is_refused(server: &TestServer, why: &str, words: &[&str]) {
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for status in [
        refused(try_submit(&client, &conversation, "x").await, Code::FailedPrecondition, why),
        refused(try_start_instance(&client, "one").await, Code::FailedPrecondition, why),
    ] {
        for word in words {
            assert!(status.message().contains(word), "no {word:?} in {status:?}");
        }
    }
    let ran = server.cli(&["continue-conversation", "--id", &conversation, "x"]).await.expect(1);
    for word in words.iter().chain([&why]) {
        assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.stderr);
        assert!(*word == why || server.log().contains(word), "the log warns of {word:?}: {}", server.log());
    }
    assert!(super::support::turns(&client, &conversation).await.is_empty(), "no turn was accepted");
}

#[tokio::test]
async fn a_missing_cli_is_named_with_how_to_install_it() {
    let (server, binary) = with_claude(None).await;
    is_refused(&server, "CLAUDE_NOT_FOUND", &[&binary.to_string_lossy(), "npm install", "claude.binary"])
        .await;
}

#[tokio::test]
async fn an_old_cli_is_refused_until_it_is_updated() {
    let (server, binary) = with_claude(Some("echo '2.1.247 (Claude Code)'")).await;
    is_refused(&server, "CLAUDE_TOO_OLD", &["2.1.247", "2.1.248", "claude update"]).await;
    script(
        &binary,
        "[ \"$1\" = --version ] && echo '2.1.248 (Claude Code)' && exit\necho 'no real one' >&2; exit 1",
    );
    let client = server.client().await;
    let status = eventually(PATIENCE, "the new one is tried without a restart", async || {
        let status = try_start_instance(&client, "one").await.unwrap_err();
        (reason(&status) == "SPAWN_FAILED").then_some(status)
    })
    .await;
    assert!(status.message().contains("no real one"), "{status:?}");
}

#[tokio::test]
async fn a_program_that_is_not_the_cli_is_refused() {
    for body in ["echo hello", "exit 3", "echo 2.1 >&2"] {
        let (server, binary) = with_claude(Some(body)).await;
        is_refused(&server, "CLAUDE_NOT_FOUND", &[&binary.to_string_lossy(), "claude.binary"]).await;
    }
}

#[tokio::test]
async fn a_server_without_a_key_warns_at_its_start() {
    let (server, _) = with_claude(Some("echo '2.1.330 (Claude Code)'")).await;
    assert!(
        server.log().contains("ANTHROPIC_API_KEY") && server.log().contains("NOT_LOGGED_IN"),
        "{}",
        server.log()
    );
    let status = server.cli(&["status", "--output", "json"]).await.expect(0).json();
    assert_eq!((&status["backend"], &status["backendVersion"]), (&"claude".into(), &"2.1.330".into()));
}
