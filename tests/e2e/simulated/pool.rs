//! The pool is bounded: what does not fit waits or is refused, what is idle goes, and what comes back remembers.

use std::time::Duration;

use claude_comms_proto::v1::ListInstancesRequest;
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::support::{
    HANG_ON_REQUEST, cancel, completed, playing_turns, refused, start_instance, submit, submit_running,
    try_start_instance, try_submit, wait,
};

async fn live_instances(client: &Client) -> usize {
    let list = client.instances.clone().list_instances(ListInstancesRequest::default()).await.unwrap();
    list.into_inner().instances.len()
}

#[tokio::test]
async fn a_full_queue_refuses_with_a_reason_and_a_time_to_retry_and_takes_turns_again() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool:\n  max_queue: 2\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = submit_running(&client, &conversation, "hang").await;
    let waiting = [submit(&client, &conversation, "a").await, submit(&client, &conversation, "b").await];

    let status =
        refused(try_submit(&client, &conversation, "c").await, Code::ResourceExhausted, "QUEUE_FULL");
    let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| delay > Duration::ZERO), "{status:?}");
    let ran = server.cli(&["continue-conversation", "--id", &conversation, "c"]).await.expect(5);
    assert!(ran.stderr.contains("QUEUE_FULL") && ran.stderr.contains("try again in"), "{}", ran.stderr);

    cancel(&client, &waiting[0].id).await;
    let taken = eventually(PATIENCE, "room in the queue", async || {
        try_submit(&client, &conversation, "d").await.ok()
    })
    .await;
    cancel(&client, hanging.turn_id()).await;
    completed(&wait(&client, &waiting[1].id).await);
    completed(&wait(&client, &taken.id).await);
}

#[tokio::test]
async fn turns_and_starts_that_can_never_get_a_slot_are_refused_at_once() {
    let server = TestServer::simulated().configuration("pool:\n  max_instances: 1\n").start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "only").await;
    let other = client.new_conversation().await;
    for status in [
        refused(try_submit(&client, &other, "x").await, Code::ResourceExhausted, "ALL_INSTANCES_PINNED"),
        refused(try_start_instance(&client, "two").await, Code::ResourceExhausted, "ALL_INSTANCES_PINNED"),
    ] {
        assert!(status.get_error_details().retry_info().is_none(), "retrying cannot help: {status:?}");
        assert!(status.message().contains('1'), "it names the limit: {status:?}");
    }
    let ran = server.cli(&["start-instance", "--name", "two"]).await.expect(5);
    assert!(ran.stderr.contains("ALL_INSTANCES_PINNED"), "{}", ran.stderr);
    completed(client.ask(&instance.conversation_id, "its own conversation is served").await.turn());
    let stopped = server.cli(&["stop-instance", "--id", "only"]).await.expect(0);
    assert!(stopped.stdout.contains("STOPPED"), "{}", stopped.stdout);
    completed(client.ask(&other, "now there is room").await.turn());
}

#[tokio::test]
async fn a_waiting_turn_ends_when_the_last_free_slot_is_pinned() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool:\n  max_instances: 1\n").start().await;
    let client = server.client().await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    let hanging = submit_running(&client, &one, "hang").await;
    // Two starts of one name: once one of them is refused, the other is in line for the slot.
    let mut starts = JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        starts.spawn(async move { try_start_instance(&client, "pinned").await });
    }
    refused(starts.join_next().await.unwrap().unwrap(), Code::AlreadyExists, "INSTANCE_NAME_TAKEN");
    let waiting = submit(&client, &other, "never").await;
    cancel(&client, hanging.turn_id()).await;
    let ended = wait(&client, &waiting.id).await;
    starts.join_next().await.unwrap().unwrap().expect("the start got the slot");
    super::support::failed(&ended, "ALL_INSTANCES_PINNED");
}

#[tokio::test]
async fn more_conversations_than_instances_all_complete_and_remember() {
    let server = TestServer::simulated().configuration("pool:\n  max_instances: 2\n").start().await;
    let client = server.client().await;
    let mut conversations = JoinSet::new();
    for number in 0..12 {
        let client = client.clone();
        conversations.spawn(async move {
            let conversation = client.new_conversation().await;
            let first = format!("first of {number}");
            completed(client.ask(&conversation, first.clone()).await.turn());
            let second = client.ask(&conversation, "second").await;
            let text = completed(second.turn());
            let memory = format!("This is turn 2 of our conversation. The one before asked: \"{first}\"");
            assert!(text.contains(&memory), "{text}");
        });
    }
    while let Some(conversation) = conversations.join_next().await {
        conversation.unwrap();
        assert!(live_instances(&client).await <= 2);
        assert!(server.processes().claudes().len() <= 2, "{:?}", server.processes().claudes());
    }
}

#[tokio::test]
async fn an_idle_process_goes_and_the_next_turn_resumes_with_its_memory() {
    let server = TestServer::simulated().configuration("pool:\n  idle_timeout: 200ms\n").start().await;
    let client = server.client().await;
    let pinned = start_instance(&client, "pinned").await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "remember me").await.turn());
    let left = eventually(PATIENCE, "the idle process goes", async || {
        let left = server.processes().claudes();
        (left.len() == 1).then_some(left)
    })
    .await;
    assert_eq!(left[0].pid, pinned.process_id, "what a user started stays");
    eventually(PATIENCE, "its instance goes", async || (live_instances(&client).await == 1).then_some(()))
        .await;

    let heard = client.ask(&conversation, "and?").await;
    let text = completed(heard.turn());
    assert!(text.contains("turn 2 of our conversation. The one before asked: \"remember me\""), "{text}");
    assert!(
        !heard
            .events
            .iter()
            .any(|e| matches!(e.event, Some(claude_comms_proto::v1::turn_event::Event::SessionReset(_)))),
        "{:?}",
        heard.events
    );
}

#[tokio::test]
async fn a_pinned_instance_whose_process_was_killed_gets_another_that_remembers() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "keeper").await;
    completed(client.ask(&instance.conversation_id, "before").await.turn());
    claude_comms_tests::processes::signal(instance.process_id, rustix::process::Signal::KILL);
    let show =
        async || server.cli(&["show-instance", "--id", "keeper", "--output", "json"]).await.expect(0).json();
    let dormant = eventually(PATIENCE, "it is dormant", async || {
        let shown = show().await;
        (shown["state"] == "INSTANCE_STATE_DORMANT").then_some(shown)
    })
    .await;
    assert_eq!((&dormant["processId"], &dormant["exit"]["code"]), (&0.into(), &137.into()), "{dormant}");
    let text = completed(client.ask(&instance.conversation_id, "after").await.turn()).to_owned();
    assert!(text.contains("The one before asked: \"before\""), "{text}");
    let shown = show().await;
    assert_eq!(
        (&shown["id"], &shown["processGeneration"]),
        (&instance.id.clone().into(), &2.into()),
        "{shown}"
    );
    assert_eq!((&shown["turnCount"], &shown["state"]), (&2.into(), &"INSTANCE_STATE_IDLE".into()), "{shown}");
}
