//! What turns may cost: each budget is kept, said, shown, and survives a restart.

use claude_comms_proto::v1::{Budget, GetServerInfoRequest};
use claude_comms_tests::{Client, client::reason};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::support::{figure, start};
use crate::simulated::support::{
    cancel, completed, failed, playing_turns, refused, start_instance, submit, submit_running, try_submit,
    wait,
};

/// `dear` writes 1000 tokens ($0.015) in each of four rounds; `once` in one.
const DEAR: &str = "turns:\n\
  - { when: { contains: dear }, steps: [\n\
      { repeat: { text: 'abcdefgh', count: 500 } }, { tool_call: { name: Look } },\n\
      { repeat: { text: 'abcdefgh', count: 500 } }, { tool_call: { name: Look } },\n\
      { repeat: { text: 'abcdefgh', count: 500 } }, { tool_call: { name: Look, delay_ms: 60000 } },\n\
      { text: never }] }\n\
  - { when: { contains: once }, steps: [{ repeat: { text: 'abcdefgh', count: 500 } }] }\n\
  - { when: { contains: hang }, steps: [{ text: Hanging }, hang] }\n";

async fn budgets(client: &Client) -> Vec<Budget> {
    let info = client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    info.into_inner().budgets
}

#[tokio::test]
async fn a_turn_that_gets_too_dear_ends_between_two_calls_and_its_process_stays() {
    let (server, client) = start(playing_turns(DEAR), "pool: { turn_budget_usd: 0.03 }\n").await;
    let instance = start_instance(&client, "one").await;
    let heard = client.ask(&instance.conversation_id, "dear").await;
    let turn = heard.turn();
    let words = failed(turn, "BUDGET_EXCEEDED");
    assert!(words.contains("pool.turn_budget_usd") && words.contains("$0.03"), "{words}");
    assert!(turn.cost_usd > 0.015 && turn.cost_usd < 0.06, "two or three calls of four: {turn:?}");
    assert_eq!(&wait(&client, &turn.id).await, turn, "one terminal record");
    completed(client.ask(&instance.conversation_id, "cheap").await.turn());
    assert_eq!(super::support::get(&client, "one").await.process_id, instance.process_id);
    let line = "claude_comms_turns_total{reason=\"BUDGET_EXCEEDED\",state=\"FAILED\"}";
    assert_eq!(figure(&server, line).await, 1.0);
    // An answer that is complete is kept, whatever it cost.
    assert_eq!(completed(client.ask(&instance.conversation_id, "once").await.turn()).len(), 4000);
}

#[tokio::test]
async fn a_conversation_that_has_spent_its_budget_takes_no_more_and_others_do() {
    let (_server, client) = start(playing_turns(DEAR), "pool: { conversation_budget_usd: 0.02 }\n").await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    completed(client.ask(&one, "once").await.turn());
    completed(client.ask(&one, "once").await.turn());
    let status = refused(try_submit(&client, &one, "more").await, Code::ResourceExhausted, "BUDGET_EXCEEDED");
    let details = status.get_error_details();
    assert!(details.retry_info().is_none(), "time mends nothing: {status:?}");
    assert_eq!(details.error_info().unwrap().metadata["scope"], "conversation");
    completed(client.ask(&other, "once").await.turn());
}

#[tokio::test]
async fn a_spent_day_refuses_until_midnight_is_shown_and_survives_a_restart() {
    let (mut server, client) = start(playing_turns(DEAR), "pool: { budget_usd: 0.02 }\n").await;
    let conversation = client.new_conversation().await;
    let turn = completed_cost(&client, &conversation).await;
    let day = &budgets(&client).await[0];
    assert_eq!((day.scope.as_str(), day.name.as_str(), day.limit_usd), ("server_day", "", 0.02));
    assert!((day.spent_usd - turn).abs() < 1e-9 && day.reserved_usd == 0.0, "{day:?} {turn}");
    assert!(day.reset_time.is_some(), "{day:?}");
    let shown = server.cli(&["status"]).await.expect(0).stdout;
    assert!(shown.contains("whole server: $0.015") && shown.contains("of $0.02"), "{shown}");
    assert!(figure(&server, "claude_comms_budget_spent_usd{name=\"\",scope=\"server_day\"}").await > 0.015);

    let check = async |client: &Client| {
        let status = refused(
            try_submit(client, &conversation, "once").await,
            Code::ResourceExhausted,
            "BUDGET_EXCEEDED",
        );
        let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert!(retry.is_some_and(|delay| delay.as_secs() <= 24 * 3600), "{status:?}");
        assert!(status.message().contains("pool.budget_usd"), "{status:?}");
    };
    check(&client).await;
    let ran = server.cli(&["continue-conversation", "--id", &conversation, "once"]).await.expect(5);
    assert!(ran.stderr.contains("BUDGET_EXCEEDED") && ran.stderr.contains("try again in"), "{}", ran.stderr);
    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    check(&client).await;
    assert!((budgets(&client).await[0].spent_usd - turn).abs() < 1e-9);
    // A higher one, taken up by the running server, lets turns in again.
    super::support::reload(&server, "pool: { budget_usd: 10 }\n");
    let turn = claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "room again", async || {
        try_submit(&client, &conversation, "cheap").await.ok()
    })
    .await;
    completed(&wait(&client, &turn.id).await);
}

/// The cost of one dear turn.
async fn completed_cost(client: &Client, conversation: &str) -> f64 {
    let heard = client.ask(conversation, "once").await;
    completed(heard.turn());
    heard.turn().cost_usd
}

#[tokio::test]
async fn what_running_turns_hold_is_given_back_however_they_end() {
    let (_server, client) =
        start(playing_turns(DEAR), "pool: { budget_usd: 0.0025, max_instances: 1 }\n").await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    let hanging = submit_running(&client, &one, "hang").await;
    assert_eq!(budgets(&client).await[0].reserved_usd, 0.001);
    // It holds nothing while it waits.
    let waiting = submit(&client, &other, "hang").await;
    cancel(&client, hanging.turn_id()).await;
    let left =
        claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "the other one runs", async || {
            let day = budgets(&client).await.remove(0);
            (day.reserved_usd == 0.001 && day.spent_usd > 0.0).then_some(day)
        })
        .await;
    assert!(left.spent_usd < 0.001, "{left:?}");
    cancel(&client, &waiting.id).await;
    let day = claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "nothing is held", async || {
        let day = budgets(&client).await.remove(0);
        (day.reserved_usd == 0.0).then_some(day)
    })
    .await;
    assert!(day.spent_usd > 0.0 && day.spent_usd < 0.002, "{day:?}");
}

#[tokio::test]
async fn a_turn_that_waited_and_finds_the_day_spent_fails_without_a_process() {
    let (_server, client) = start(playing_turns(DEAR), "pool: { budget_usd: 0.0155 }\n").await;
    let one = client.new_conversation().await;
    let first = submit_running(&client, &one, "hang").await;
    let (dear, late) = (submit(&client, &one, "once").await, submit(&client, &one, "late").await);
    cancel(&client, first.turn_id()).await;
    completed(&wait(&client, &dear.id).await);
    let late = wait(&client, &late.id).await;
    let words = failed(&late, "BUDGET_EXCEEDED");
    assert!(words.contains("pool.budget_usd") && late.instance_id.is_empty(), "{late:?}");
    let again = try_submit(&client, &one, "again").await.unwrap_err();
    assert_eq!(reason(&again), "BUDGET_EXCEEDED");
}
