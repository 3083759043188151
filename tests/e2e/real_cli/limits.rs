//! The real CLI's memory and money: its totals run on from turn to turn, its tool rounds cost, its tree is weighed.

use claude_comms_proto::v1::{GetConversationRequest, GetServerInfoRequest, InstanceState};
use claude_comms_tests::{Gate, PATIENCE, Reply, eventually, processes};
use rustix::process::Signal;
use serde_json::json;

use super::stage::{Stage, assert_failed};

fn reload(stage: &Stage, yaml: &str) {
    std::fs::write(stage.server.world().root().join("claude-comms.yaml"), yaml).unwrap();
    processes::signal(stage.server.pid(), Signal::HUP);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_ends_a_turn_between_two_tool_rounds_and_the_next_turn_runs_on_the_same_process() {
    let stage = Stage::with(|builder| builder.configuration("pool: { turn_budget_usd: 0.00001 }\n")).await;
    let instance = stage.start_instance("one", "").await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(3).calling("Look", json!({})));
    // The CLI has no such tool and asks again at once; an answer to that would be complete before the interrupt comes.
    stage.api.queue(Reply::tokens(3).held_at_head(&gate));
    stage.api.otherwise(Reply::tokens(3));
    let mut heard = stage.query("one", "look around").await.unwrap();
    let turn = heard.to_end().await.clone();
    assert_failed(&turn, "BUDGET_EXCEEDED");
    assert!(turn.failure.as_ref().is_some_and(|f| f.message.contains("pool.turn_budget_usd")), "{turn:?}");
    // The second call may have been on its way when the first one's price was known.
    assert!((1..=2).contains(&stage.api.requests().len()), "{}", stage.api.requests().len());
    gate.open();
    let mut next = stage.query("one", "one word").await.unwrap();
    // It costs more than the budget too, but is complete with its first call.
    assert_eq!(next.to_end().await.text, "tok0 tok1 tok2 ");
    assert_eq!(stage.instance("one").await.process_id, instance.process_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_turns_cost_their_own_share_of_the_clis_running_total() {
    let stage = Stage::with(|builder| builder.configuration("pool: { budget_usd: 5 }\n")).await;
    let instance = stage.start_instance("one", "").await;
    stage.api.otherwise(Reply::tokens(3));
    let mut costs = Vec::new();
    for _ in 0..5 {
        let mut heard = stage.query("one", "again").await.unwrap();
        costs.push(heard.to_end().await.cost_usd);
    }
    // The stand-in counts ten tokens more for each further message of a user: equal steps, not a sum that runs on.
    let steps: Vec<f64> = costs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step > 0.0 && (step - steps[0]).abs() < 1e-9), "{costs:?}");
    let sum: f64 = costs.iter().sum();
    let request = GetConversationRequest { id: instance.conversation_id.clone() };
    let conversation = stage.client.conversations.clone().get_conversation(request).await.unwrap();
    assert!((conversation.into_inner().cost_usd - sum).abs() < 1e-9, "{costs:?}");
    let info = stage.client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    let day = info.into_inner().budgets.remove(0);
    assert!((day.spent_usd - sum).abs() < 1e-8 && day.reserved_usd == 0.0, "{day:?} {costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_stays_below_its_memory_limit_and_is_replaced_above_it() {
    let often = "pool: { health_interval: 200ms";
    let stage = Stage::with(|builder| builder.configuration(format!("{often} }}\n"))).await;
    let instance = stage.start_instance("one", "").await;
    stage.api.otherwise(Reply::tokens(1));
    stage.query("one", "hello").await.unwrap().to_end().await;
    let weighed = async || stage.instance("one").await.health.filter(|health| health.pss_bytes > 0);
    let bytes = eventually(PATIENCE, "its memory", weighed).await.pss_bytes;
    let checked = async || stage.instance("one").await.health.and_then(|health| health.checked_time);
    reload(&stage, &format!("{often}, memory_limit: {} }}\n", bytes * 3 / 2));
    let before = checked().await;
    eventually(PATIENCE, "a look under the limit", async || (checked().await != before).then_some(())).await;
    assert_eq!(stage.instance("one").await.process_id, instance.process_id);
    reload(&stage, &format!("{often}, memory_limit: {} }}\n", bytes / 2));
    let dormant = stage.await_state("one", InstanceState::Dormant).await;
    assert_eq!(dormant.exit.map(|exit| exit.reason), Some("memory_limit".to_owned()));
    reload(&stage, &format!("{often} }}\n"));
    stage.query("one", "and again").await.unwrap().to_end().await;
    assert_eq!(stage.last_request_users(), ["hello", "and again"], "it remembers");
}
