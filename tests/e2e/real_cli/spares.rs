//! Warm spares with the real CLI: the first request of a claimed one is that of its conversation and of nothing else.

use std::collections::HashSet;

use claude_comms_proto::v1::{CreateConversationRequest, Instance, InstanceState, ListInstancesRequest};
use claude_comms_tests::{PATIENCE, eventually, server::Builder};

use super::stage::{Stage, assert_answer};

const TOKEN: &str = "sk-ant-oat01-made-up-canary";

async fn spares(stage: &Stage, count: usize) -> Vec<Instance> {
    eventually(PATIENCE, &format!("{count} spares"), async || {
        let request = ListInstancesRequest::default();
        let list = stage.client.instances.clone().list_instances(request).await.unwrap().into_inner();
        let ready = |instance: &Instance| instance.spare && instance.state() == InstanceState::Idle;
        let spares: Vec<_> = list.instances.into_iter().filter(ready).collect();
        (spares.len() == count).then_some(spares)
    })
    .await
}

async fn conversation(stage: &Stage, system_prompt: &str) -> String {
    let request = CreateConversationRequest {
        system_prompt: system_prompt.into(),
        ..CreateConversationRequest::default()
    };
    stage.client.conversations.clone().create_conversation(request).await.unwrap().into_inner().id
}

/// Two conversations begin on two spares: each has its own prompt, its own words and nothing of the other.
async fn two_conversations_on_two_spares(build: impl FnOnce(Builder) -> Builder) {
    let stage = Stage::with(|builder| build(builder.warm_spares(2))).await;
    let waiting: HashSet<String> = spares(&stage, 2).await.into_iter().map(|spare| spare.id).collect();
    assert!(stage.api.requests().is_empty(), "a spare asks for nothing");
    let (one, two) =
        (conversation(&stage, "You are the heron.").await, conversation(&stage, "You are the owl.").await);
    let (first, second) = tokio::join!(
        stage.client.ask(&one, "canary of the heron"),
        stage.client.ask(&two, "canary of the owl")
    );
    for heard in [&first, &second] {
        assert!(waiting.contains(&heard.turn().instance_id), "{heard:?}");
    }
    assert_answer(&first, "canary of the heron");
    assert_answer(&second, "canary of the owl");
    let third = stage.client.ask(&one, "again").await;
    assert_answer(&third, "again");
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let body = request.body.to_string();
        let heron = body.contains("You are the heron.");
        assert_ne!(heron, body.contains("You are the owl."), "one system prompt: {body}");
        assert_eq!(heron, body.contains("canary of the heron"), "{body}");
        assert_ne!(heron, body.contains("canary of the owl"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_on_spares_have_their_own_prompt_and_nothing_of_each_other() {
    two_conversations_on_two_spares(|builder| builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spares_work_with_a_token_as_with_a_key() {
    two_conversations_on_two_spares(|builder| {
        builder.without_environment("ANTHROPIC_API_KEY").environment("CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_that_is_killed_while_it_comes_up_or_waits_costs_a_conversation_nothing() {
    let mut stage = Stage::with(|builder| builder.warm_spares(1)).await;
    let spare = spares(&stage, 1).await.remove(0);
    claude_comms_tests::processes::signal(spare.process_id, rustix::process::Signal::KILL);
    let conversation = conversation(&stage, "You are the heron.").await;
    assert_answer(&stage.client.ask(&conversation, "hello").await, "hello");
    spares(&stage, 1).await;
    stage.crash().await;
}
