//! A question that is asked twice with one request ID is one question, whatever happens in between.

use claude_comms_tests::{Client, TestServer, client::Heard};
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::support::{
    conversation, parameters, query, question, register, try_query, try_submit_query, unregister, with_role,
};
use crate::simulated::support::{
    HANG_ON_REQUEST, cancel, completed, first_text, playing_turns, refused, turns, wait,
};

fn identified(source: &str, target: &str, prompt: &str) -> claude_comms_proto::v1::QueryModuleRequest {
    let mut asked = question(source, target, prompt);
    asked.request_id = Uuid::new_v4().to_string();
    asked
}

async fn conversations(client: &Client) -> usize {
    let list = claude_comms_proto::v1::ListConversationsRequest::default();
    client.conversations.clone().list_conversations(list).await.unwrap().into_inner().conversations.len()
}

/// Makes another request of one.
type Change = fn(&mut claude_comms_proto::v1::QueryModuleRequest);

#[track_caller]
fn same(one: &Heard, other: &Heard) {
    assert_eq!((one.turn(), &one.text), (other.turn(), &other.text));
}

#[tokio::test]
async fn the_same_request_is_the_same_turn_also_when_its_modules_changed_and_after_a_restart() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &with_role("one", "1.0.0", "first role")).await;
    let asked = identified("marker", "one", "once");
    let first = query(&client, asked.clone()).await;
    same(&query(&client, asked.clone()).await, &first);
    assert_eq!(try_submit_query(&client, asked.clone()).await.unwrap(), *first.turn());

    register(&client, &with_role("one", "1.0.0", "second role")).await;
    same(&query(&client, asked.clone()).await, &first);
    register(&client, &with_role("one", "2.0.0", "third role")).await;
    same(&query(&client, asked.clone()).await, &first);
    unregister(&client, "one").await.unwrap();
    same(&query(&client, asked.clone()).await, &first);

    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    same(&query(&client, asked.clone()).await, &first);
    assert_eq!((turns(&client, "").await.len(), conversations(&client).await), (1, 1));
    let found = conversation(&client, &first.turn().conversation_id).await;
    assert!(found.system_prompt.contains("first role"));
}

#[tokio::test]
async fn another_payload_with_the_same_id_is_refused_whatever_differs() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let asked = identified("marker", "arangodb", "once");
    let first = query(&client, asked.clone()).await;
    let changes: [(&str, Change); 6] = [
        ("prompt", |asked| asked.prompt = "twice".into()),
        ("capability", |asked| asked.capability = "run_aql".into()),
        ("output_schema", |asked| asked.output_schema = "{}".into()),
        ("template", |asked| asked.template = "response".into()),
        ("parameters", |asked| asked.parameters = parameters(json!({"a": 1}))),
        ("overrides", |asked| {
            let target_role = Some("Other.".into());
            asked.context_overrides =
                Some(claude_comms_proto::v1::ContextOverrides { target_role, ..Default::default() });
        }),
    ];
    for (what, change) in changes {
        let mut other = asked.clone();
        change(&mut other);
        for result in [
            try_query(&client, other.clone()).await.map(|_| ()),
            try_submit_query(&client, other).await.map(|_| ()),
        ] {
            let status = refused(result, Code::AlreadyExists, "REQUEST_ID_REUSED");
            assert!(status.message().contains(&first.turn().id), "{what}: {status:?}");
        }
    }
    // The ID is scoped to the pair, and to a conversation.
    let mut elsewhere = asked.clone();
    elsewhere.source = "claude_mcp".into();
    assert_ne!(query(&client, elsewhere).await.turn().id, first.turn().id);
    let mut within = asked.clone();
    within.conversation_id.clone_from(&first.turn().conversation_id);
    same(&query(&client, within).await, &first);
    let mut another = identified("marker", "arangodb", "in its own conversation");
    another.request_id.clone_from(&asked.request_id);
    another
        .conversation_id
        .clone_from(&query(&client, question("marker", "arangodb", "x")).await.turn().conversation_id);
    assert_ne!(query(&client, another).await.turn().id, first.turn().id);
    assert_eq!(conversations(&client).await, 3);
}

#[tokio::test]
async fn clients_that_ask_at_once_with_one_id_get_one_turn_of_one_conversation() {
    let server = TestServer::simulated().start().await;
    let (one, other) = (server.client().await, server.client().await);
    for _ in 0..20 {
        let asked = identified("marker", "arangodb", "at once");
        let (mine, theirs) =
            tokio::join!(try_submit_query(&one, asked.clone()), try_submit_query(&other, asked.clone()));
        let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
        assert_eq!((&mine.id, &mine.conversation_id), (&theirs.id, &theirs.conversation_id));
        completed(&wait(&one, &mine.id).await);
    }
    assert_eq!(
        (turns(&one, "").await.len(), conversations(&one).await),
        (20, 20),
        "no conversation is left over"
    );
}

#[tokio::test]
async fn a_running_question_is_joined_by_who_retries_it() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let asked = identified("", "arangodb", "please hang");
    let mut first = try_query(&client, asked.clone()).await.unwrap();
    first_text(&mut first).await;
    let mut second = try_query(&client, asked).await.unwrap();
    first_text(&mut second).await;
    assert_eq!(first.turn_id(), second.turn_id());
    cancel(&client, first.turn_id()).await;
    first.to_end().await;
    second.to_end().await;
    same(&first, &second);
}

#[tokio::test]
async fn a_queued_question_keeps_its_message_over_a_kill_and_runs_once() {
    let mut server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    register(&client, &super::support::counter()).await;
    let mut running = try_query(&client, question("", "counter", "please hang")).await.unwrap();
    first_text(&mut running).await;
    let id = running.events[0].clone();
    let Some(claude_comms_proto::v1::turn_event::Event::Accepted(accepted)) = id.event else {
        panic!("{id:?}")
    };
    let mut queued = identified("", "counter", "queued");
    queued.conversation_id = accepted.conversation_id;
    queued.template = "response".into();
    queued.parameters = parameters(json!({"request": "SELECT 1"}));
    let submitted = try_submit_query(&client, queued.clone()).await.unwrap();
    assert!(submitted.message.contains("SELECT 1"));
    server.kill9().await;
    server.processes().await_gone().await;
    server.restart().await;
    let client = server.client().await;
    let ended = wait(&client, &submitted.id).await;
    assert!(completed(&ended).contains("<request>"), "Claude was told the rendered message: {ended:?}");
    assert_eq!(
        (&ended.message, &ended.template, ended.attempt),
        (&submitted.message, &submitted.template, 1)
    );
    assert_eq!(try_submit_query(&client, queued).await.unwrap(), ended);
}
