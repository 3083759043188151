//! Bugs that were found by reading, each with the promise that it broke.

use std::{io::Read as _, os::unix::net::UnixListener};

use claude_comms_proto::v1::{
    Instance, ListConversationsRequest, ListInstancesRequest, ListTurnsRequest, StartInstanceRequest,
    SubmitMessageRequest, TurnState, WatchTurnRequest,
};
use claude_comms_tests::{Client, PATIENCE, TestServer, eventually, processes::signal, within};
use prost_types::Timestamp;
use tonic::Code;

use super::support::{
    HANG_ON_REQUEST, bad_input, cancel, cancelled, completed, playing, playing_turns, refused, submit,
    submit_running, wait,
};

/// Default receive limit of grpcurl, Python, Node and tonic, less what INTERFACE.md keeps free.
const MESSAGE_BYTES: usize = 3_500_000;

async fn instances(client: &Client) -> Vec<Instance> {
    let list = client.instances.clone().list_instances(ListInstancesRequest::default()).await.unwrap();
    list.into_inner().instances
}

#[tokio::test]
async fn a_turn_for_an_instance_that_is_gone_ends_and_blocks_nobody() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let running = submit_running(&client, &conversation, "hang").await;
    let instance = instances(&client).await.remove(0);
    let targeted = SubmitMessageRequest {
        conversation_id: conversation.clone(),
        prompt: "for this one".into(),
        instance_id: instance.id.clone(),
        ..SubmitMessageRequest::default()
    };
    let targeted = client.conversations.clone().submit_message(targeted).await.unwrap().into_inner();
    let behind = submit(&client, &conversation, "behind").await;
    signal(instance.process_id, rustix::process::Signal::KILL);
    assert_eq!(wait(&client, running.turn_id()).await.state(), TurnState::Failed);
    cancelled(&wait(&client, &targeted.id).await, "INSTANCE_STOPPED");
    completed(&wait(&client, &behind.id).await);
}

#[tokio::test]
async fn a_watch_that_begins_behind_the_end_ends() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut heard = client.ask(&conversation, "x").await;
    heard.to_end().await;
    let last = heard.events.last().unwrap().sequence;
    for after in [last, last + 5] {
        let text_offset = heard.turn().text.len() as u64;
        let request =
            WatchTurnRequest { turn_id: heard.turn_id().into(), after_sequence: Some(after), text_offset };
        let mut stream = client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
        assert!(within("the end of the watch", stream.message()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn every_page_fits_every_client_and_pages_are_whole_together() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let prompt = "p".repeat(6000);
    let mut turns = Vec::new();
    for _ in 0..300 {
        turns.push(submit(&client, &conversation, &prompt).await);
    }
    for turn in &turns {
        completed(&wait(&client, &turn.id).await);
    }
    let (mut seen, mut token) = (0, String::new());
    loop {
        let request = ListTurnsRequest { page_size: 1000, page_token: token, ..ListTurnsRequest::default() };
        let page = client.conversations.clone().list_turns(request).await.unwrap().into_inner();
        let bytes = prost::Message::encoded_len(&page);
        assert!(bytes < MESSAGE_BYTES, "{bytes} bytes");
        seen += page.turns.len();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, turns.len());
    let all = ListConversationsRequest { page_size: 1000, ..ListConversationsRequest::default() };
    assert_eq!(
        client.conversations.clone().list_conversations(all).await.unwrap().into_inner().conversations.len(),
        1
    );
}

#[tokio::test]
async fn a_start_that_hangs_does_not_hold_up_the_shutdown() {
    let mut server = playing("deaf_initialize").configuration("pool:\n  drain_timeout: 1s\n").start().await;
    let client = server.client().await;
    let mut instances_client = client.instances.clone();
    let mut starting = tokio::task::JoinSet::new();
    starting.spawn(async move { instances_client.start_instance(StartInstanceRequest::default()).await });
    eventually(PATIENCE, "the process that starts", async || instances(&client).await.first().map(|_| ()))
        .await;
    let ran = within("the shutdown", server.terminate()).await;
    let _ = ran.expect(0);
    assert!(within("the start's answer", starting.join_next()).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn cancelling_a_waiting_turn_leaves_the_warm_process_alone() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    client.ask(&conversation, "warm up").await.to_end().await;
    let before = instances(&client).await.remove(0).process_id;
    for _ in 0..40 {
        let first = submit(&client, &conversation, "a").await;
        let second = submit(&client, &conversation, "b").await;
        // Either it is cancelled, or it was quicker: both are right.
        let request = claude_comms_proto::v1::CancelTurnRequest { id: second.id.clone() };
        let _ = client.conversations.clone().cancel_turn(request).await;
        completed(&wait(&client, &first.id).await);
        wait(&client, &second.id).await;
        assert_eq!(instances(&client).await.remove(0).process_id, before);
    }
}

#[tokio::test]
async fn a_conversation_gets_one_instance_however_many_are_asked_for() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = submit_running(&client, &conversation, "hang").await;
    let request =
        StartInstanceRequest { conversation_id: conversation.clone(), ..StartInstanceRequest::default() };
    let (mut one, mut two) = (client.instances.clone(), client.instances.clone());
    let mut first = Box::pin(one.start_instance(request.clone()));
    let mut second = Box::pin(two.start_instance(request));
    let early = async {
        tokio::select! {
            refusal = &mut first => (refusal, second),
            refusal = &mut second => (refusal, first),
        }
    };
    let (refusal, waits) = within("the refusal of one of them", early).await;
    refused(refusal, Code::FailedPrecondition, "CONVERSATION_STARTING");
    cancel(&client, hanging.turn_id()).await;
    let started = within("the other one", waits).await.unwrap().into_inner();
    assert_eq!((started.conversation_id, started.pinned), (conversation, true));
    assert_eq!(instances(&client).await.len(), 1);
}

#[tokio::test]
async fn a_socket_whose_server_is_too_busy_to_accept_is_left_to_it() {
    let builder = TestServer::simulated();
    let path = builder.world().root().join("busy.sock");
    let busy = UnixListener::bind(&path).unwrap();
    // Fill the backlog, so that a further connection would have to wait.
    let mut waiting = Vec::new();
    loop {
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        match rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()) {
            Ok(()) => waiting.push(socket),
            Err(_) => break,
        }
    }
    let (refused, _world) =
        builder.listen(&format!("unix:{}", path.display())).try_start().await.expect_err("it must not start");
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    drop(waiting);
    let (mut first, _) = busy.accept().unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "the listener is still the old one");
}

#[tokio::test]
async fn times_that_do_not_exist_are_refused() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    for since in [Timestamp { seconds: 1 << 62, nanos: 0 }, Timestamp { seconds: 0, nanos: -1 }] {
        let request = ListTurnsRequest { since: Some(since), ..ListTurnsRequest::default() };
        bad_input(client.conversations.clone().list_turns(request).await, &["since"]);
    }
}

#[tokio::test]
async fn a_model_cannot_pose_as_an_argument_of_the_cli() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    for model in ["--dangerously-skip-permissions", "a\nb", "a b"] {
        let request = StartInstanceRequest { model: model.into(), ..StartInstanceRequest::default() };
        bad_input(client.instances.clone().start_instance(request).await, &["model"]);
    }
}

#[tokio::test]
async fn a_request_larger_than_the_server_takes_is_refused_with_a_reason() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for bytes in [(2 << 20) + 1, 6 << 20] {
        let status = bad_input(client.send(&conversation, "x".repeat(bytes)).await.map(|_| ()), &["prompt"]);
        assert!(status.message().contains("limits.prompt_bytes"), "{status:?}");
    }
    client.ask(&conversation, "the connection is fine").await.to_end().await;
}
