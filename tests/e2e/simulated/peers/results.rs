//! Reports of results that never came, and of tools and budgets that ended a turn without one.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::ListInstancesRequest;
use claude_comms_tests::processes;
use rustix::process::Signal;

use crate::simulated::support::{completed, failed, playing_turns, submit_running};

/// anthropics/claude-code#1920, #8126: the `result` is missing, and the exit is a good one.
#[tokio::test]
async fn a_process_that_exits_well_without_a_result_fails_its_turn() {
    let server = playing_turns(
        "turns:\n  - { when: { contains: leave }, steps: [{ text: \"Half \" }, { crash: { exit: 0 } }] }\n",
    )
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "one").await.turn());
    let heard = client.ask(&conversation, "leave").await;
    failed(heard.turn(), "PROCESS_DIED");
    assert_eq!(heard.turn().partial_text, "Half ");
    let text = completed(client.ask(&conversation, "and?").await.turn()).to_owned();
    assert!(text.contains("The first asked: \"one\""), "{text}");
}

/// anthropics/claude-agent-sdk-python#1273 (a budget trips inside a subagent) and coder/agentapi#209 (a message blocks for
/// ever): a tool round that never ends gives no result at all.
#[tokio::test]
async fn a_tool_that_never_ends_ends_its_turn_in_its_time_and_the_conversation_goes_on() {
    let server = playing_turns(
        "turns:\n  - when: { contains: tool }\n    steps:\n      - { text: \"Let me see. \" }\n      \
         - tool_call: { name: lookup, delay_ms: 3600000 }\n",
    )
    .configuration("pool: { turn_timeout: 1s }\n")
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let begin = Instant::now();
    let heard = client.ask(&conversation, "use a tool").await;
    failed(heard.turn(), "TURN_TIMEOUT");
    assert!(begin.elapsed() < Duration::from_secs(20), "it took {:?}", begin.elapsed());
    completed(client.ask(&conversation, "and?").await.turn());
}

/// agentclientprotocol/claude-agent-acp#338: the death of a child leaves the session broken for good.
#[tokio::test]
async fn a_conversation_survives_the_death_of_each_of_its_processes() {
    let server = playing_turns(crate::simulated::support::HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "remember me").await.turn());
    for _ in 0..5 {
        let mut hanging = submit_running(&client, &conversation, "hang").await;
        let request = ListInstancesRequest::default();
        let list = client.instances.clone().list_instances(request).await.unwrap().into_inner();
        let serving = list.instances.iter().find(|instance| instance.conversation_id == conversation);
        processes::signal(serving.expect("it is listed").process_id, Signal::KILL);
        failed(hanging.to_end().await, "PROCESS_DIED");
        let text = completed(client.ask(&conversation, "and?").await.turn()).to_owned();
        assert!(text.contains("The first asked: \"remember me\""), "{text}");
    }
}
