//! `doctor` in front of the real CLI: its version, its start, its login, and one turn that says what it cost.

use claude_comms_tests::{Reply, messages_api::Authentication};
use serde_json::Value;

use super::stage::Stage;

#[track_caller]
fn of<'a>(results: &'a [Value], check: &str) -> &'a Value {
    results
        .iter()
        .find(|result| result["check"] == check)
        .unwrap_or_else(|| panic!("no {check}: {results:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_is_found_started_and_asked() {
    let stage = Stage::new().await;
    let lines = stage.server.cli(&["doctor", "--output", "json"]).await.expect(0).json_lines();
    assert_eq!(of(&lines, "cli")["details"]["version"], "2.1.330", "{lines:#?}");
    let start = of(&lines, "cli_start");
    println!("{start}");
    assert_eq!(start["details"]["credential_in_use"], "ANTHROPIC_API_KEY", "{start}");
    assert_eq!(of(&lines, "login")["status"], "DIAGNOSTIC_STATUS_OK");
    assert_eq!(stage.api.requests().len(), 0, "it costs nothing without --turn");
    assert_eq!(stage.server.processes().claudes(), [], "what was tried is gone");

    stage.api.queue(Reply::text("OK"));
    let ran = stage.server.cli(&["doctor", "--turn", "--output", "json"]).await.expect(0);
    let lines = ran.json_lines();
    let turn = of(&lines, "turn");
    println!("{turn}");
    assert_eq!(turn["status"], "DIAGNOSTIC_STATUS_OK", "{turn}");
    assert!(turn["message"].as_str().unwrap().contains("output tokens, $"), "{turn}");
    assert_eq!(stage.api.requests().len(), 1);
    assert_eq!(stage.api.requests()[0].authentication, Authentication::ApiKey);
    assert!(ran.stderr.contains("tokens of the account"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_the_api_refuses_is_a_problem_with_its_remedy() {
    let stage = Stage::new().await;
    stage.api.always_for("one word OK", Reply::error(401));
    let ran = stage.server.cli(&["doctor", "--turn", "--output", "json"]).await.expect(1);
    let lines = ran.json_lines();
    let turn = of(&lines, "turn");
    assert_eq!(turn["status"], "DIAGNOSTIC_STATUS_PROBLEM", "{turn}");
    assert!(turn["remedy"].as_str().unwrap().contains("make a new one"), "{turn}");
}
