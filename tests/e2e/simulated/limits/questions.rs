//! What a module allows for one question, and what its questions may cost in a day.

use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::support::{figure, start};
use crate::simulated::{
    modules::support::{descriptor, query, question, register, try_query},
    support::{completed, failed, playing_turns, refused},
};

/// `rounds` writes 1000 tokens ($0.015) in each of its rounds; `long` as many in one, and no data.
const ROUNDS: &str = "turns:\n\
  - { when: { contains: rounds }, steps: [\n\
      { repeat: { text: 'abcdefgh', count: 500 } }, { tool_call: { name: Look } },\n\
      { repeat: { text: 'abcdefgh', count: 500 } }, { tool_call: { name: Look, delay_ms: 60000 } },\n\
      { text: never }] }\n\
  - { when: { contains: long }, steps: [{ repeat: { text: 'abcdefgh', count: 500 } }] }\n";

#[tokio::test]
async fn a_module_bounds_the_rounds_and_the_cost_of_one_question() {
    let (_server, client) = start(playing_turns(ROUNDS), "").await;
    for (name, limits, reason, words) in [
        ("hasty", json!({"max_turns": 2}), "MAX_TURNS", "limits.max_turns"),
        ("cheap", json!({"budget_usd": 0.02}), "BUDGET_EXCEEDED", "limits.budget_usd"),
    ] {
        register(&client, &descriptor(name, "1.0.0", json!({ "limits": limits }))).await;
        let heard = query(&client, question("", name, "rounds")).await;
        let turn = heard.turn();
        assert!(failed(turn, reason).contains(words), "{turn:?}");
        assert!(turn.cost_usd > 0.0, "{turn:?}");
        // Its limits are those of one question, and an answer of one round is within them.
        let mut next = question("", name, "a word");
        next.conversation_id.clone_from(&turn.conversation_id);
        next.target.clear();
        completed(query(&client, next).await.turn());
    }
}

#[tokio::test]
async fn a_module_whose_day_is_spent_is_not_asked_and_others_are() {
    let (server, client) = start(playing_turns(ROUNDS), "pool: { module_budget_usd: 0.02 }\n").await;
    for name in ["dear", "other"] {
        register(&client, &descriptor(name, "1.0.0", json!({}))).await;
    }
    completed(query(&client, question("", "dear", "long")).await.turn());
    let asked = try_query(&client, question("", "dear", "long")).await;
    let status = refused(asked, Code::ResourceExhausted, "BUDGET_EXCEEDED");
    let details = status.get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!((metadata["scope"].as_str(), metadata["module"].as_str()), ("module_day", "dear"));
    assert!(details.retry_info().is_some(), "{status:?}");
    completed(query(&client, question("dear", "other", "a word")).await.turn());
    let line = "claude_comms_budget_spent_usd{name=\"dear\",scope=\"module_day\"}";
    assert!(figure(&server, line).await > 0.015);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_not_repaired_beyond_the_budget() {
    let (server, client) = start(playing_turns(ROUNDS), "pool: { turn_budget_usd: 0.01 }\n").await;
    register(&client, &descriptor("data", "1.0.0", json!({}))).await;
    let mut asked = question("", "data", "long");
    asked.output_schema = json!({"type": "object", "required": ["n"]}).to_string();
    let heard = query(&client, asked).await;
    let turn = heard.turn();
    assert!(failed(turn, "BUDGET_EXCEEDED").contains("pool.turn_budget_usd"), "{turn:?}");
    assert_eq!(turn.partial_text.len(), 4000, "{turn:?}");
    assert_eq!(figure(&server, "claude_comms_repairs_total").await, 0.0);
}
