//! `doctor`: what is wrong, with its remedy, with a server and without one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use claude_comms_proto::v1::{DiagnoseRequest, DiagnosticResult, DiagnosticStatus as Status};
use claude_comms_tests::{Client, Ran, TestServer, tls::Authority, tools, within, world::World};
use serde_json::Value;

use super::support::bad_input;

const ALWAYS: [&str; 13] = [
    "clock",
    "directories",
    "disk",
    "store",
    "socket",
    "token",
    "tls",
    "descriptors",
    "memory",
    "cgroup",
    "cli",
    "login",
    "cli_start",
];

async fn diagnose(client: &Client, request: DiagnoseRequest) -> Vec<DiagnosticResult> {
    let mut stream = client.diagnostics.clone().diagnose(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(result) = within("a result", stream.message()).await.unwrap() {
        all.push(result);
    }
    all
}

#[track_caller]
fn of<'a>(results: &'a [DiagnosticResult], check: &str) -> &'a DiagnosticResult {
    results.iter().find(|result| result.check == check).unwrap_or_else(|| panic!("no {check}: {results:#?}"))
}

#[track_caller]
fn of_json<'a>(results: &'a [Value], check: &str) -> &'a Value {
    results
        .iter()
        .find(|result| result["check"] == check)
        .unwrap_or_else(|| panic!("no {check}: {results:#?}"))
}

/// What goes wrong is said with what to do, whatever it is.
#[track_caller]
fn remedies(results: &[DiagnosticResult]) {
    for result in results {
        let wanted = matches!(result.status(), Status::Problem | Status::Warning);
        assert_eq!(!result.remedy.is_empty(), wanted, "{result:?}");
        assert!(!result.message.is_empty() && result.duration.is_some(), "{result:?}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    chmod(path, 0o755);
}

#[tokio::test]
async fn a_server_that_is_well_is_told_so_check_by_check() {
    let server = TestServer::simulated().tcp().start().await;
    let client = server.client().await;
    let results = diagnose(&client, DiagnoseRequest::default()).await;
    let names: Vec<&str> = results.iter().map(|result| result.check.as_str()).collect();
    assert_eq!(names, ALWAYS);
    remedies(&results);
    for check in ["directories", "store", "socket", "token", "cli", "cli_start"] {
        assert_eq!(of(&results, check).status(), Status::Ok, "{:?}", of(&results, check));
    }
    assert_eq!(of(&results, "login").status(), Status::Skipped);
    assert!(of(&results, "cli_start").details["start_ms"].parse::<u64>().is_ok());
    assert_eq!(server.processes().claudes(), [], "what was tried is gone");
    let left = fs::read_dir(server.data_dir().join("instances")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "and its directory too");
    let info = server.cli(&["status", "--output", "json"]).await.expect(0).json();
    assert_eq!(info["instances"], 0, "it is none of the pool's");

    let ran = server.cli(&["doctor"]).await.expect(0);
    for check in ALWAYS {
        assert!(ran.stdout.contains(check), "{check} in {}", ran.stdout);
    }
    let lines = server.cli(&["doctor", "--output", "json"]).await.expect(0).json_lines();
    assert_eq!(lines.len(), ALWAYS.len());
    assert_eq!(of_json(&lines, "store")["status"], "DIAGNOSTIC_STATUS_OK");
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_a_running_server_is_found_and_hides_no_other() {
    let server = TestServer::simulated().tcp().start().await;
    let client = server.client().await;
    chmod(&server.data_dir(), 0o770);
    chmod(&server.data_dir().join("token"), 0o644);
    chmod(&server.world().socket(), 0o666);
    let results = diagnose(&client, DiagnoseRequest::default()).await;
    remedies(&results);
    assert_eq!(results.len(), ALWAYS.len(), "{results:#?}");
    for (check, status, remedy) in [
        ("directories", Status::Problem, "chmod 700"),
        ("token", Status::Problem, "chmod 600"),
        ("socket", Status::Warning, "chmod 600"),
        ("store", Status::Ok, ""),
        ("cli_start", Status::Ok, ""),
    ] {
        let found = of(&results, check);
        assert!(found.status() == status && found.remedy.contains(remedy), "{found:?}");
    }
    let ran = server.cli(&["doctor"]).await.expect(1);
    assert!(ran.stdout.contains("PROBLEM") && ran.stdout.contains("remedy:"), "{}", ran.stdout);
    assert!(ran.stderr.contains("problems: 2"), "{}", ran.stderr);
    fs::remove_file(server.world().socket()).unwrap();
    let tcp = Client::connect(server.tcp(), Some(&server.token())).await;
    let found = diagnose(&tcp, DiagnoseRequest::default()).await;
    assert!(of(&found, "socket").message.contains("is gone"), "{:?}", of(&found, "socket"));
    // For the end of the test's world.
    chmod(&server.data_dir(), 0o700);
}

#[tokio::test]
async fn a_cli_that_is_missing_old_or_something_else_is_a_problem_with_its_remedy() {
    let builder = TestServer::backend("claude");
    let binary = builder.world().root().join("claude");
    let server = builder.arguments(&["--claude-binary", &binary.to_string_lossy()]).start().await;
    let client = server.client().await;
    for (body, words, remedy) in [
        (None, "not found", "npm install"),
        (Some("echo '2.1.247 (Claude Code)'"), "too old", "claude update"),
        (Some("echo hello"), "does not look like", "claude.binary"),
    ] {
        if let Some(body) = body {
            script(&binary, body);
        }
        let results = diagnose(&client, DiagnoseRequest { turn: true, ..Default::default() }).await;
        remedies(&results);
        let cli = of(&results, "cli");
        assert!(cli.status() == Status::Problem, "{cli:?}");
        assert!(cli.message.contains(words) && cli.remedy.contains(remedy), "{cli:?}");
        assert_eq!(of(&results, "cli_start").status(), Status::Skipped);
        assert_eq!(of(&results, "turn").status(), Status::Skipped);
        assert_eq!(of(&results, "login").status(), Status::Problem, "no key is set");
    }
    script(
        &binary,
        "[ \"$1\" = --version ] && echo '2.1.330 (Claude Code)' && exit\necho 'no real one' >&2; exit 1",
    );
    let results = diagnose(&client, DiagnoseRequest::default()).await;
    let start = of(&results, "cli_start");
    assert!(start.status() == Status::Problem && start.message.contains("no real one"), "{start:?}");
    let _ = server.cli(&["doctor"]).await.expect(1);
}

#[tokio::test]
async fn a_turn_is_made_only_when_it_is_asked_for_and_says_what_it_costs() {
    let server = TestServer::simulated().start().await;
    let ran = server.cli(&["doctor", "--turn", "--output", "json"]).await.expect(0);
    let lines = ran.json_lines();
    let turn = of_json(&lines, "turn");
    assert_eq!(turn["status"], "DIAGNOSTIC_STATUS_OK", "{turn}");
    assert!(turn["message"].as_str().unwrap().contains("output tokens"), "{turn}");
    assert!(ran.stderr.contains("costs") || ran.stderr.contains("tokens"), "said before: {}", ran.stderr);
    let client = server.client().await;
    let request = DiagnoseRequest { turn: false, model: "haiku".into() };
    bad_input(client.diagnostics.clone().diagnose(request).await.map(|_| ()), &["model"]);
    let _ = server.cli(&["doctor", "--model", "haiku"]).await.expect(2);
}

async fn doctor(world: &World, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = world.command(&tools::server_binary());
    command.arg("doctor").args(arguments).envs(environment.iter().copied());
    Ran::to_end(command).await
}

#[tokio::test]
async fn without_a_server_the_same_checks_run_here_and_say_so() {
    let world = World::new();
    let simulated = [("CLAUDE_COMMS_BACKEND", "simulated")];
    let ran = doctor(&world, &["--output", "json"], &simulated).await.expect(0);
    assert!(ran.stderr.contains("no server answers at"), "{}", ran.stderr);
    let lines = ran.json_lines();
    assert_eq!(lines.len(), ALWAYS.len() + 1, "{lines:#?}");
    assert_eq!(of_json(&lines, "configuration")["status"], "DIAGNOSTIC_STATUS_OK");
    for check in ["directories", "store", "socket", "cli", "cli_start"] {
        assert_eq!(of_json(&lines, check)["status"], "DIAGNOSTIC_STATUS_OK", "{lines:#?}");
    }
    assert!(!world.data_dir().exists(), "it was looked for and not made");
    let temporary: Vec<_> = fs::read_dir(world.temporary_dir()).unwrap().flatten().collect();
    assert!(temporary.is_empty(), "{temporary:?}");
    world.processes().await_gone().await;

    let missing =
        doctor(&world, &[], &[("CLAUDE_COMMS_CLAUDE__BINARY", "/nonexistent/claude")]).await.expect(1);
    assert!(missing.stdout.contains("npm install"), "{}", missing.stdout);
    let bad = doctor(&world, &[], &[("CLAUDE_COMMS_POOL__MAX_INSTANCES", "many")]).await.expect(1);
    assert!(bad.stdout.contains("configuration") && bad.stdout.contains("PROBLEM"), "{}", bad.stdout);
}

#[tokio::test]
async fn a_server_that_holds_the_data_but_does_not_answer_there_is_named() {
    let server = TestServer::simulated().start().await;
    let elsewhere = format!("unix:{}", server.world().root().join("elsewhere.sock").display());
    let ran = doctor(server.world(), &["--server", &elsewhere, "--output", "json"], &[]).await.expect(1);
    let lines = ran.json_lines();
    let store = of_json(&lines, "store");
    assert_eq!(store["status"], "DIAGNOSTIC_STATUS_PROBLEM", "{store}");
    assert!(store["message"].as_str().unwrap().contains(&server.pid().to_string()), "{store}");
    assert!(store["remedy"].as_str().unwrap().contains("--server"), "{store}");
}

#[tokio::test]
async fn no_secret_is_told_whatever_is_found() {
    let canary = "canary-0123456789abcdef";
    let builder = TestServer::backend("claude");
    let binary = builder.world().root().join("claude");
    script(&binary, "[ \"$1\" = --version ] && echo '2.1.330 (Claude Code)' && exit\nexit 1");
    let server = builder
        .tcp()
        .arguments(&["--claude-binary", &binary.to_string_lossy()])
        .environment("ANTHROPIC_API_KEY", format!("{canary}-key "))
        .environment("CLAUDE_CODE_OAUTH_TOKEN", format!("{canary}-oauth"))
        .environment("ANTHROPIC_BASE_URL", format!("http://{canary}@127.0.0.1:9"))
        .start()
        .await;
    let token = fs::read_to_string(server.data_dir().join("token")).unwrap();
    let ran = server.cli(&["doctor", "--output", "json", "--verbose"]).await.expect(1);
    for said in [&ran.stdout, &ran.stderr, &server.log()] {
        assert!(!said.contains(canary) && !said.contains(token.trim()), "{said}");
    }
    assert!(ran.stdout.contains("ANTHROPIC_API_KEY"), "the variable is named: {}", ran.stdout);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_has_ended_or_is_gone_is_told_with_its_remedy() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let authority = Authority::new();
    let builder = TestServer::simulated();
    let root = builder.world().root().to_owned();
    let (cert, key) = authority.server_for(90 * DAY).write(&root, "server");
    let yaml = format!("tls: {{cert: {}, key: {}}}\n", cert.display(), key.display());
    let server = builder.configuration(yaml).listen("https://127.0.0.1:0").start().await;
    let client = server.client().await;
    let now = async || {
        let results = diagnose(&client, DiagnoseRequest::default()).await;
        remedies(&results);
        let tls = of(&results, "tls");
        (tls.status(), tls.message.clone(), tls.remedy.clone())
    };
    assert_eq!(now().await.0, Status::Ok);
    authority.server_for(5 * DAY).write(&root, "server");
    let (status, message, remedy) = now().await;
    assert!(
        status == Status::Warning && message.contains("ends on 20") && remedy.contains("renew"),
        "{message}"
    );
    authority.expired().write(&root, "server");
    let (status, message, _) = now().await;
    assert!(status == Status::Problem && message.contains("ended on 2021-01-01"), "{message}");
    fs::remove_file(&cert).unwrap();
    let (status, message, _) = now().await;
    assert!(status == Status::Problem && message.contains("cannot be read"), "{message}");
}
