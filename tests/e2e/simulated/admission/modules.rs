//! Limits of a module and of a pair, what each has, and who is kept warm.

use claude_comms_proto::v1::{ListInstancesRequest, StartInstanceRequest, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually};
use tokio::task::JoinSet;
use tonic::Code;

use super::support::{SOURCES, TARGET, submit_of};
use crate::simulated::{
    modules::support::{query, question, try_query, try_submit_query},
    support::{
        HANG_ON_REQUEST, cancel, completed, failed, first_text, get, playing_turns, refused, wait, watch,
    },
};

async fn instances(client: &Client) -> usize {
    let list = client.instances.clone().list_instances(ListInstancesRequest::default()).await.unwrap();
    list.into_inner().instances.len()
}

/// Waits until `status` shows this line.
async fn shows(server: &TestServer, words: &str) {
    eventually(PATIENCE, words, async || {
        server.cli(&["status"]).await.expect(0).stdout.contains(words).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_module_at_its_limit_waits_says_so_and_lets_others_pass() {
    for limit in ["module_max_instances", "pair_max_instances"] {
        let server = playing_turns(HANG_ON_REQUEST)
            .configuration(format!("pool: {{ max_instances: 4, {limit}: 1 }}\n"))
            .start()
            .await;
        let client = server.client().await;
        let mut hanging = try_query(&client, question(SOURCES[1], TARGET, "hang")).await.unwrap();
        first_text(&mut hanging).await;
        let waiting = submit_of(&client, SOURCES[1], "beyond").await;
        let mut heard = watch(&client, &waiting.id, None, 0).await;
        heard
            .until(|event| matches!(event, Event::Queued(queued) if queued.waits_for == "module_limit"))
            .await;

        let other = query(&client, question(TARGET, SOURCES[1], "of another module")).await;
        completed(other.turn());
        if limit == "pair_max_instances" {
            completed(query(&client, question(SOURCES[2], TARGET, "of another pair")).await.turn());
        }
        completed(client.ask(&client.new_conversation().await, "of none").await.turn());
        shows(&server, &format!("{} > {TARGET}: instances 1, running 1, queued 1", SOURCES[1])).await;

        cancel(&client, hanging.turn_id()).await;
        heard.to_end().await;
        completed(heard.turn());
        shows(&server, &format!("{} > {TARGET}: instances 1, running 0, queued 0", SOURCES[1])).await;
    }
}

#[tokio::test]
async fn many_conversations_of_a_module_take_turns_on_what_it_may_have() {
    let server = TestServer::simulated()
        .configuration("pool: { max_instances: 6, warm_spares: 0, module_max_instances: 2 }\n")
        .start()
        .await;
    let client = server.client().await;
    let mut turns = Vec::new();
    for number in 0..10 {
        turns.push(submit_of(&client, SOURCES[number % 3], "a question").await.id);
    }
    for id in turns {
        completed(&wait(&client, &id).await);
        assert!(server.processes().claudes().len() <= 2, "{:?}", server.processes().claudes());
    }
}

#[tokio::test]
async fn who_is_kept_warm_outlasts_its_idle_time_and_goes_last() {
    let server = TestServer::simulated()
        .configuration(format!(
            "pool: {{ max_instances: 2, warm_spares: 0, idle_timeout: 200ms, keep_warm: [\"{}>{TARGET}\"] }}\n",
            SOURCES[1]
        ))
        .start()
        .await;
    let client = server.client().await;
    let warm = query(&client, question(SOURCES[1], TARGET, "keep me")).await.turn().conversation_id.clone();
    let kept = server.processes().claudes()[0].pid;
    for _ in 0..3 {
        completed(query(&client, question(SOURCES[2], TARGET, "for now")).await.turn());
    }
    eventually(PATIENCE, "the others go", async || (instances(&client).await == 1).then_some(())).await;
    let left = server.processes().claudes();
    assert_eq!(left.iter().map(|claude| claude.pid).collect::<Vec<_>>(), [kept]);
    let text = completed(client.ask(&warm, "and?").await.turn()).to_owned();
    assert!(text.contains("turn 2 of our conversation"), "{text}");
}

#[tokio::test]
async fn a_module_whose_instances_are_all_pinned_takes_no_turn_that_would_wait_in_vain() {
    let server = playing_turns(HANG_ON_REQUEST)
        .configuration("pool: { max_instances: 4, module_max_instances: 1 }\n")
        .start()
        .await;
    let client = server.client().await;
    let mut hanging = try_query(&client, question(SOURCES[1], TARGET, "hang")).await.unwrap();
    first_text(&mut hanging).await;
    let conversation_id = get(&client, hanging.turn_id()).await.conversation_id;
    let waiting = submit_of(&client, SOURCES[2], "never").await;
    // Two starts of one name: once one of them is refused, the other is in line for the slot.
    let mut starts = JoinSet::new();
    for _ in 0..2 {
        let mut instances = client.instances.clone();
        let conversation_id = conversation_id.clone();
        let name = "pinned".to_owned();
        let request = StartInstanceRequest { name, conversation_id, ..StartInstanceRequest::default() };
        starts.spawn(async move { instances.start_instance(request).await });
    }
    refused(starts.join_next().await.unwrap().unwrap(), Code::AlreadyExists, "INSTANCE_NAME_TAKEN");
    cancel(&client, hanging.turn_id()).await;
    starts.join_next().await.unwrap().unwrap().expect("the start got the slot");
    failed(&wait(&client, &waiting.id).await, "ALL_INSTANCES_PINNED");

    let late = try_submit_query(&client, question(SOURCES[2], TARGET, "late")).await;
    let status = refused(late, Code::ResourceExhausted, "ALL_INSTANCES_PINNED");
    for words in [TARGET, "pool.module_max_instances"] {
        assert!(status.message().contains(words), "it names what is in the way: {status:?}");
    }
    completed(query(&client, question(TARGET, SOURCES[1], "of another module")).await.turn());
    let _ = server.cli(&["stop-instance", "--id", "pinned"]).await.expect(0);
    completed(query(&client, question(SOURCES[2], TARGET, "now there is room")).await.turn());
}
