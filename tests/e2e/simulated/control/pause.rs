//! A paused instance: its process stands still, queued turns wait, new ones are refused, nothing evicts it, and it goes on.

use claude_comms_proto::v1::{
    InstanceState, ListInstancesRequest, QueryModuleRequest, StartInstanceRequest, StopMode,
    SubmitMessageRequest, SubmitModuleQueryRequest, TurnState,
};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually, processes};
use rustix::process::Signal;
use tonic::Code;

use super::support::{
    TURNS, await_state, await_stopped, instance, letter, pause, resume, start_with_module, try_query,
    try_stop,
};
use crate::simulated::support::{
    children, completed, get, playing_turns, refused, start_instance, submit, submit_running, try_submit,
    wait,
};

#[tokio::test]
async fn an_idle_instance_stands_still_and_goes_on_with_the_same_process() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    completed(client.ask(&started.conversation_id, "before").await.turn());

    let paused = pause(&client, "one").await;
    assert_eq!((paused.state(), paused.pause_pending), (InstanceState::Paused, false));
    assert_eq!(paused.process_id, started.process_id);
    await_stopped(started.process_id).await;
    assert_eq!(pause(&client, "one").await.state(), InstanceState::Paused, "a second time changes nothing");

    let resumed = resume(&client, "one").await;
    assert_eq!((resumed.state(), resumed.process_id), (InstanceState::Idle, started.process_id));
    assert_eq!(resume(&client, "one").await.state(), InstanceState::Idle, "a second time changes nothing");
    let heard = client.ask(&started.conversation_id, "after").await;
    assert!(completed(heard.turn()).contains("The one before asked: \"before\""));
    let after = instance(&client, "one").await;
    assert_eq!((after.process_id, after.process_generation), (started.process_id, 1));
}

/// Every RPC that takes a turn of the instance's conversation.
async fn all_refuse(client: &Client, id: &str, conversation: &str) {
    let why = |result| refused(result, Code::FailedPrecondition, "INSTANCE_PAUSED");
    why(client.send(conversation, "new").await.map(|_| ()));
    why(try_submit(client, conversation, "new").await.map(|_| ()));
    why(try_query(client, id, "new").await.map(|_| ()));
    let through = SubmitMessageRequest {
        conversation_id: conversation.into(),
        prompt: "new".into(),
        instance_id: id.into(),
        ..Default::default()
    };
    why(client.conversations.clone().submit_message(through).await.map(|_| ()));
}

/// As [`all_refuse`], of a conversation with a module.
async fn modules_refuse(client: &Client, conversation: &str) {
    let why = |result| refused(result, Code::FailedPrecondition, "INSTANCE_PAUSED");
    let query = QueryModuleRequest {
        conversation_id: conversation.into(),
        prompt: "new".into(),
        ..QueryModuleRequest::default()
    };
    why(client.modules.clone().query_module(query).await.map(|_| ()));
    let query = SubmitModuleQueryRequest {
        conversation_id: conversation.into(),
        prompt: "new".into(),
        ..SubmitModuleQueryRequest::default()
    };
    why(client.modules.clone().submit_module_query(query).await.map(|_| ()));
}

#[tokio::test]
async fn a_busy_instance_ends_its_turn_first_queued_turns_wait_and_new_ones_are_refused() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_with_module(&client, "one").await;
    let conversation = &started.conversation_id;
    let mut running = submit_running(&client, conversation, "slow").await;
    let queued =
        [submit(&client, conversation, "second").await, submit(&client, conversation, "third").await];

    let pending = pause(&client, "one").await;
    assert_eq!((pending.state(), pending.pause_pending), (InstanceState::Busy, true));
    assert_ne!(letter(pending.process_id), 'T', "its turn goes on");
    all_refuse(&client, &started.id, conversation).await;
    modules_refuse(&client, conversation).await;
    completed(running.to_end().await);

    let paused = await_state(&client, "one", InstanceState::Paused).await;
    assert!(!paused.pause_pending);
    await_stopped(paused.process_id).await;
    all_refuse(&client, &started.id, conversation).await;
    modules_refuse(&client, conversation).await;
    for turn in &queued {
        assert_eq!(get(&client, &turn.id).await.state(), TurnState::Queued);
    }
    // A turn that waits can be cancelled all the same.
    let cancelled = crate::simulated::support::cancel(&client, &queued[0].id).await;
    crate::simulated::support::cancelled(&cancelled, "CANCEL_REQUESTED");

    resume(&client, "one").await;
    let ran = wait(&client, &queued[1].id).await;
    completed(&ran);
    assert_eq!(ran.instance_id, started.id);
    let after = instance(&client, "one").await;
    assert_eq!((after.process_id, after.process_generation), (started.process_id, 1));
}

#[tokio::test]
async fn a_pause_that_has_not_begun_is_taken_back() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let mut running = submit_running(&client, &started.conversation_id, "slow").await;
    assert!(pause(&client, "one").await.pause_pending);
    let resumed = resume(&client, "one").await;
    assert_eq!((resumed.state(), resumed.pause_pending), (InstanceState::Busy, false));
    let next = submit(&client, &started.conversation_id, "next").await;
    completed(running.to_end().await);
    completed(&wait(&client, &next.id).await);
}

#[tokio::test]
async fn a_dormant_instance_is_paused_without_a_process() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    completed(client.ask(&started.conversation_id, "before").await.turn());
    processes::signal(started.process_id, Signal::KILL);
    await_state(&client, "one", InstanceState::Dormant).await;
    let paused = pause(&client, "one").await;
    assert_eq!((paused.state(), paused.process_id), (InstanceState::Paused, 0));
    all_refuse(&client, &started.id, &started.conversation_id).await;
    assert_eq!(resume(&client, "one").await.state(), InstanceState::Dormant);
    let heard = client.ask(&started.conversation_id, "after").await;
    assert!(completed(heard.turn()).contains("The one before asked: \"before\""));
    assert_eq!(instance(&client, "one").await.process_generation, 2);
}

#[tokio::test]
async fn a_paused_instance_whose_process_is_killed_stays_paused() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let mut running = submit_running(&client, &started.conversation_id, "slow").await;
    let waiting = submit(&client, &started.conversation_id, "waiting").await;
    pause(&client, "one").await;
    completed(running.to_end().await);
    await_state(&client, "one", InstanceState::Paused).await;
    processes::signal(started.process_id, Signal::KILL);
    eventually(PATIENCE, "the server knows", async || {
        (instance(&client, "one").await.process_id == 0).then_some(())
    })
    .await;
    assert_eq!(instance(&client, "one").await.state(), InstanceState::Paused);
    assert_eq!(get(&client, &waiting.id).await.state(), TurnState::Queued);
    resume(&client, "one").await;
    completed(&wait(&client, &waiting.id).await);
    assert_eq!(instance(&client, "one").await.process_generation, 2);
}

#[tokio::test]
async fn a_paused_instance_is_stopped_at_once_either_way_and_its_conversation_goes_on() {
    for mode in [StopMode::Graceful, StopMode::Now] {
        let server = playing_turns(TURNS).start().await;
        let client = server.client().await;
        let started = start_instance(&client, "one").await;
        let mut running = submit_running(&client, &started.conversation_id, "slow").await;
        let plain = submit(&client, &started.conversation_id, "plain").await;
        let through = SubmitMessageRequest {
            conversation_id: started.conversation_id.clone(),
            prompt: "through".into(),
            instance_id: "one".into(),
            ..Default::default()
        };
        let through = client.conversations.clone().submit_message(through).await.unwrap().into_inner();
        pause(&client, "one").await;
        completed(running.to_end().await);
        await_state(&client, "one", InstanceState::Paused).await;
        await_stopped(started.process_id).await;

        let begin = std::time::Instant::now();
        let stopped = try_stop(&client, "one", mode).await.unwrap();
        assert_eq!((stopped.state(), stopped.process_id), (InstanceState::Stopped, 0));
        assert!(begin.elapsed().as_secs() < 10, "{mode:?} took {:?}", begin.elapsed());
        assert!(!processes::is_alive(started.process_id));
        crate::simulated::support::cancelled(&wait(&client, &through.id).await, "INSTANCE_STOPPED");
        let plain = wait(&client, &plain.id).await;
        completed(&plain);
        assert_ne!(plain.instance_id, started.id);
    }
}

async fn only_instance(client: &Client) -> claude_comms_proto::v1::Instance {
    let list = client.instances.clone().list_instances(ListInstancesRequest::default()).await.unwrap();
    let [instance] = list.into_inner().instances.try_into().expect("one instance");
    instance
}

#[tokio::test]
async fn an_instance_of_the_pool_that_is_paused_is_neither_reclaimed_nor_evicted() {
    let server =
        playing_turns(TURNS).configuration("pool: { idle_timeout: 100ms, max_instances: 2 }\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "slow").await;
    let made = only_instance(&client).await;
    assert!(!made.pinned);
    pause(&client, &made.id).await;
    completed(running.to_end().await);
    let paused = await_state(&client, &made.id, InstanceState::Paused).await;
    // Other conversations come and go in the other slot: it is evicted and reclaimed, this one is not.
    for _ in 0..3 {
        let other = client.new_conversation().await;
        completed(client.ask(&other, "hello").await.turn());
    }
    eventually(PATIENCE, "the others are reclaimed", async || {
        (server.processes().claudes().len() == 1).then_some(())
    })
    .await;
    let now = instance(&client, &made.id).await;
    assert_eq!((now.state(), now.process_id), (InstanceState::Paused, paused.process_id));
    let start = StartInstanceRequest { conversation_id: conversation.clone(), ..Default::default() };
    let start = client.instances.clone().start_instance(start).await;
    refused(start, Code::FailedPrecondition, "INSTANCE_PAUSED");

    resume(&client, &made.id).await;
    eventually(PATIENCE, "it is reclaimed after that", async || children(&server).is_empty().then_some(()))
        .await;
    completed(client.ask(&conversation, "again").await.turn());
}

#[tokio::test]
async fn a_pause_ends_with_the_server() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    pause(&client, "one").await;
    await_stopped(started.process_id).await;
    let begin = std::time::Instant::now();
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(
        begin.elapsed().as_secs() < 10,
        "a paused process does not hold up the end: {:?}",
        begin.elapsed()
    );
    server.processes().await_gone().await;
    server.restart().await;
    let client = server.client().await;
    assert_eq!(instance(&client, "one").await.state(), InstanceState::Dormant);
    completed(client.ask(&started.conversation_id, "hello").await.turn());
}

#[tokio::test]
async fn pauses_and_resumes_of_many_at_once_end_as_the_last_one_says() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        let client = client.clone();
        calls.spawn(async move {
            if number % 2 == 0 { pause(&client, "one").await } else { resume(&client, "one").await }
        });
    }
    while let Some(call) = calls.join_next().await {
        let state = call.unwrap().state();
        assert!(matches!(state, InstanceState::Paused | InstanceState::Idle), "{state:?}");
    }
    assert_eq!(pause(&client, "one").await.state(), InstanceState::Paused);
    await_stopped(started.process_id).await;
    assert_eq!(resume(&client, "one").await.state(), InstanceState::Idle);
    completed(client.ask(&started.conversation_id, "hello").await.turn());
    assert_eq!(instance(&client, "one").await.process_id, started.process_id);
}
