//! Requests that cannot be granted, through gRPC: each names what is wrong with a stable reason, and every bad field at once.

use claude_comms_proto::v1::{
    CancelTurnRequest, CreateConversationRequest, GetConversationRequest, GetInstanceRequest, GetTurnRequest,
    ListConversationsRequest, ListInstancesRequest, ListTurnsRequest, QueryInstanceRequest,
    SendMessageRequest, StartInstanceRequest, StopInstanceRequest, SubmitMessageRequest, WaitTurnRequest,
    WatchConversationRequest, WatchTurnRequest,
};
use claude_comms_tests::{TestServer, client::bad_fields};
use tonic::{Code, Status};

use super::support::{bad_input, completed, refused, start_instance, try_submit};

#[track_caller]
fn not_found<T: std::fmt::Debug>(result: Result<T, Status>, reason: &str, id: &str) {
    let status = refused(result, Code::NotFound, reason);
    assert!(status.message().contains(id), "it names what was looked for: {status:?}");
}

#[tokio::test]
async fn unknown_ids_are_not_found_and_named() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let (mut conversations, mut instances) = (client.conversations.clone(), client.instances.clone());
    let id = uuid::Uuid::new_v4().to_string();
    let none = "CONVERSATION_NOT_FOUND";
    not_found(conversations.get_conversation(GetConversationRequest { id: id.clone() }).await, none, &id);
    not_found(client.send(&id, "x").await, none, &id);
    not_found(try_submit(&client, &id, "x").await, none, &id);
    let of = ListTurnsRequest { conversation_id: id.clone(), ..Default::default() };
    not_found(conversations.list_turns(of).await, none, &id);
    let watch = WatchConversationRequest { conversation_id: id.clone(), ..Default::default() };
    not_found(conversations.watch_conversation(watch).await, none, &id);
    let start = StartInstanceRequest { conversation_id: id.clone(), ..Default::default() };
    not_found(instances.start_instance(start).await, none, &id);
    let none = "TURN_NOT_FOUND";
    not_found(conversations.get_turn(GetTurnRequest { id: id.clone() }).await, none, &id);
    not_found(conversations.wait_turn(WaitTurnRequest { id: id.clone() }).await, none, &id);
    not_found(conversations.cancel_turn(CancelTurnRequest { id: id.clone() }).await, none, &id);
    let watch = WatchTurnRequest { turn_id: id.clone(), ..Default::default() };
    not_found(conversations.watch_turn(watch).await, none, &id);
    let none = "INSTANCE_NOT_FOUND";
    for id in [id.as_str(), "nobody"] {
        not_found(instances.get_instance(GetInstanceRequest { id: id.into() }).await, none, id);
        not_found(instances.stop_instance(StopInstanceRequest { id: id.into(), mode: 0 }).await, none, id);
        let query = QueryInstanceRequest { id: id.into(), prompt: "x".into(), ..Default::default() };
        not_found(instances.query_instance(query).await, none, id);
    }
    let conversation = client.new_conversation().await;
    let submit = SubmitMessageRequest {
        conversation_id: conversation,
        prompt: "x".into(),
        instance_id: id.clone(),
        ..Default::default()
    };
    not_found(conversations.submit_message(submit).await, none, &id);
}

#[tokio::test]
async fn malformed_and_missing_ids_are_bad_fields() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let (mut conversations, mut instances) = (client.conversations.clone(), client.instances.clone());
    for id in ["", "nonsense", "0193\u{e9}", &"f".repeat(10_000)] {
        let id = id.to_owned();
        bad_input(conversations.get_conversation(GetConversationRequest { id: id.clone() }).await, &["id"]);
        bad_input(conversations.get_turn(GetTurnRequest { id: id.clone() }).await, &["id"]);
        bad_input(conversations.wait_turn(WaitTurnRequest { id: id.clone() }).await, &["id"]);
        bad_input(conversations.cancel_turn(CancelTurnRequest { id: id.clone() }).await, &["id"]);
        let watch = WatchTurnRequest { turn_id: id.clone(), ..Default::default() };
        bad_input(conversations.watch_turn(watch).await, &["turn_id"]);
        let watch = WatchConversationRequest { conversation_id: id.clone(), ..Default::default() };
        bad_input(conversations.watch_conversation(watch).await, &["conversation_id"]);
        let status = bad_input(client.send(&id, "x").await, &["conversation_id"]);
        assert!(status.message().len() < 300, "a long value is not repeated: {}", status.message().len());
    }
    for id in ["", "Bad Name", "-x"] {
        bad_input(instances.get_instance(GetInstanceRequest { id: id.into() }).await, &["id"]);
        bad_input(instances.stop_instance(StopInstanceRequest { id: id.into(), mode: 0 }).await, &["id"]);
    }
    bad_input(instances.stop_instance(StopInstanceRequest { id: "a".into(), mode: 9 }).await, &["mode"]);
}

#[tokio::test]
async fn prompts_that_cannot_be_sent_are_bad_fields_and_make_no_turn() {
    let server = TestServer::simulated().configuration("limits:\n  prompt_bytes: 1000\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for (prompt, why) in [(String::new(), "empty"), ("x".repeat(1001), "1000"), ("a\0b".to_owned(), "NUL")] {
        for result in [
            try_submit(&client, &conversation, &prompt).await.map(|_| ()),
            client.send(&conversation, prompt.clone()).await.map(|_| ()),
        ] {
            let status = bad_input(result, &["prompt"]);
            assert!(status.message().contains(why), "{status:?}");
        }
    }
    assert!(super::support::turns(&client, &conversation).await.is_empty());
    completed(client.ask(&conversation, "x".repeat(1000)).await.turn());
}

#[tokio::test]
async fn a_prompt_at_the_default_limit_of_2_mebibytes_arrives_and_one_byte_more_is_refused() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "x".repeat(2 << 20)).await.turn());
    let status = bad_input(client.send(&conversation, "x".repeat((2 << 20) + 1)).await, &["prompt"]);
    assert!(status.message().contains("2097152"), "{status:?}");
    // Beyond what the server receives at all, the field is named too; the server goes on.
    bad_input(client.send(&conversation, "x".repeat(5 << 20)).await, &["prompt"]);
    completed(client.ask(&conversation, "still there").await.turn());
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let request = SendMessageRequest {
        conversation_id: "x".into(),
        prompt: String::new(),
        request_id: "y".into(),
        timeout: Some(std::time::Duration::ZERO.try_into().unwrap()),
        ..Default::default()
    };
    bad_input(client.send_request(request).await, &["conversation_id", "timeout", "request_id", "prompt"]);
    let request = SendMessageRequest {
        conversation_id: client.new_conversation().await,
        prompt: "x".into(),
        timeout: Some(std::time::Duration::from_secs(365 * 24 * 3600).try_into().unwrap()),
        ..Default::default()
    };
    let status = bad_input(client.send_request(request).await, &["timeout"]);
    assert!(status.message().contains("pool.turn_timeout"), "the setting is named: {status:?}");

    let mut instances = client.instances.clone();
    for name in ["A", "9", "with space", "-", "ä", &"a".repeat(64)] {
        let start = StartInstanceRequest { name: name.into(), ..Default::default() };
        let status = bad_input(instances.start_instance(start).await, &["name"]);
        assert!(status.message().contains("^[a-z]"), "the rule is told: {status:?}");
    }
    let start = StartInstanceRequest {
        conversation_id: client.new_conversation().await,
        system_prompt: "both".into(),
        ..Default::default()
    };
    bad_input(instances.start_instance(start).await, &["system_prompt"]);
    let create = CreateConversationRequest {
        title: "t".repeat(2000),
        system_prompt: "\0".into(),
        model: "m".repeat(300),
        labels: [(String::new(), "v".repeat(300))].into(),
        ..Default::default()
    };
    let status = client.conversations.clone().create_conversation(create).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["title", "system_prompt", "model", "labels", "labels"], "{status:?}");
}

#[tokio::test]
async fn lists_refuse_what_they_cannot_page_or_match() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let mut conversations = client.conversations.clone();
    for page_size in [-1, 1001] {
        let turns = ListTurnsRequest { page_size, ..Default::default() };
        bad_input(conversations.list_turns(turns).await, &["page_size"]);
        let all = ListInstancesRequest { page_size, ..Default::default() };
        bad_input(client.instances.clone().list_instances(all).await, &["page_size"]);
    }
    let turns = ListTurnsRequest {
        page_token: "nonsense".into(),
        states: vec![99],
        id_match: "xy".into(),
        ..Default::default()
    };
    bad_input(conversations.list_turns(turns).await, &["states", "id_match"]);
    let list = ListConversationsRequest { page_token: "nonsense".into(), ..Default::default() };
    bad_input(conversations.list_conversations(list).await, &["page_token"]);
}

#[tokio::test]
async fn what_the_state_forbids_is_a_failed_precondition() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let mut instances = client.instances.clone();
    let instance = start_instance(&client, "one").await;
    let turn = client.ask(&instance.conversation_id, "x").await.turn().id.clone();
    let cancel = client.conversations.clone().cancel_turn(CancelTurnRequest { id: turn.clone() }).await;
    let status = refused(cancel, Code::FailedPrecondition, "TURN_ALREADY_ENDED");
    assert!(status.message().contains(&turn) && status.message().contains("COMPLETED"), "{status:?}");

    let same = StartInstanceRequest { name: "one".into(), ..Default::default() };
    refused(instances.start_instance(same).await, Code::AlreadyExists, "INSTANCE_NAME_TAKEN");
    let served =
        StartInstanceRequest { conversation_id: instance.conversation_id.clone(), ..Default::default() };
    refused(instances.start_instance(served).await, Code::FailedPrecondition, "CONVERSATION_HAS_INSTANCE");
    let elsewhere = SubmitMessageRequest {
        conversation_id: client.new_conversation().await,
        prompt: "x".into(),
        instance_id: "one".into(),
        ..Default::default()
    };
    refused(
        client.conversations.clone().submit_message(elsewhere).await,
        Code::FailedPrecondition,
        "INSTANCE_OF_OTHER_CONVERSATION",
    );
    let stop = StopInstanceRequest { id: "one".into(), mode: 0 };
    instances.stop_instance(stop).await.unwrap();
    let query = QueryInstanceRequest { id: instance.id, prompt: "x".into(), ..Default::default() };
    refused(instances.query_instance(query).await, Code::FailedPrecondition, "INSTANCE_STOPPED");
    // The name is free again.
    start_instance(&client, "one").await;
}
