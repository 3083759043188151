//! Short words for what many promises need: scenarios, single calls, refusals. It checks nothing of its own.

use std::{fs, path::PathBuf};

use claude_comms_proto::v1::{
    CancelTurnRequest, GetTurnRequest, Instance, ListTurnsRequest, StartInstanceRequest,
    SubmitMessageRequest, Turn, TurnEvent, TurnState, WaitTurnRequest, WatchTurnRequest, turn_event::Event,
};
use claude_comms_tests::{
    Client, TestServer,
    client::{Heard, bad_fields, reason},
    processes::{Kind, Process},
    server::Builder,
    tools, within,
};
use tonic::{Code, Status};

/// A scenario of `tests/scenarios`, by its name.
pub(super) fn scenario(name: &str) -> PathBuf {
    tools::repository().join("tests/scenarios").join(format!("{name}.yaml"))
}

/// A simulated server that plays a scenario of `tests/scenarios`.
pub(super) fn playing(name: &str) -> Builder {
    TestServer::simulated().scenario(&scenario(name))
}

/// A simulated server that plays the turns written here.
pub(super) fn playing_turns(yaml: &str) -> Builder {
    let builder = TestServer::simulated();
    let file = builder.world().root().join("scenario.yaml");
    fs::write(&file, yaml).unwrap();
    builder.scenario(&file)
}

/// Prompts that contain `hang` begin to answer and stay; all others get the default answer.
pub(super) const HANG_ON_REQUEST: &str =
    "turns:\n  - { when: { contains: hang }, steps: [{ text: Hanging }, hang] }\n";

/// Accepts a turn in the background.
pub(super) async fn try_submit(client: &Client, conversation: &str, prompt: &str) -> Result<Turn, Status> {
    let request = SubmitMessageRequest {
        conversation_id: conversation.into(),
        prompt: prompt.into(),
        ..SubmitMessageRequest::default()
    };
    within("an accepted turn", client.conversations.clone().submit_message(request))
        .await
        .map(tonic::Response::into_inner)
}

/// As [`try_submit`], where nothing may be refused.
pub(super) async fn submit(client: &Client, conversation: &str, prompt: &str) -> Turn {
    try_submit(client, conversation, prompt).await.expect("the turn is accepted")
}

/// Waits for a turn's end.
pub(super) async fn wait(client: &Client, turn: &str) -> Turn {
    let request = WaitTurnRequest { id: turn.into() };
    within("the end of a turn", client.conversations.clone().wait_turn(request)).await.unwrap().into_inner()
}

/// A turn as it is now.
pub(super) async fn get(client: &Client, turn: &str) -> Turn {
    client.conversations.clone().get_turn(GetTurnRequest { id: turn.into() }).await.unwrap().into_inner()
}

/// Ends a turn.
pub(super) async fn cancel(client: &Client, turn: &str) -> Turn {
    let request = CancelTurnRequest { id: turn.into() };
    within("a cancelled turn", client.conversations.clone().cancel_turn(request)).await.unwrap().into_inner()
}

/// Watches a turn from a place on.
pub(super) async fn watch(
    client: &Client,
    turn: &str,
    after_sequence: Option<u64>,
    text_offset: usize,
) -> Heard {
    let request = WatchTurnRequest { turn_id: turn.into(), after_sequence, text_offset: text_offset as u64 };
    let stream = client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
    Heard::from_offset(stream, text_offset)
}

/// All turns of a conversation (empty: of the server), oldest first.
pub(crate) async fn turns(client: &Client, conversation: &str) -> Vec<Turn> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTurnsRequest {
            conversation_id: conversation.into(),
            page_token,
            ..ListTurnsRequest::default()
        };
        let page = client.conversations.clone().list_turns(request).await.unwrap().into_inner();
        all.extend(page.turns);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

/// Starts an instance with this name.
pub(super) async fn try_start_instance(client: &Client, name: &str) -> Result<Instance, Status> {
    let request = StartInstanceRequest { name: name.into(), ..StartInstanceRequest::default() };
    within("a started instance", client.instances.clone().start_instance(request))
        .await
        .map(tonic::Response::into_inner)
}

/// As [`try_start_instance`], where nothing may be refused.
pub(super) async fn start_instance(client: &Client, name: &str) -> Instance {
    try_start_instance(client, name).await.expect("the instance starts")
}

/// Hears until the turn's text begins.
pub(super) async fn first_text(heard: &mut Heard) {
    heard.until(|event| matches!(event, Event::TextDelta(_))).await;
}

/// The turn is with a process, and the process has begun to answer.
pub(super) async fn submit_running(client: &Client, conversation: &str, prompt: &str) -> Heard {
    let mut heard = client.send(conversation, prompt).await.expect("the turn is accepted");
    first_text(&mut heard).await;
    heard
}

/// Whether an event has a number of its own; the others repeat that of the one before.
pub(super) fn is_durable(event: &TurnEvent) -> bool {
    use claude_comms_proto::v1::RetryScope;
    match event.event.as_ref().expect("an event says what happened") {
        Event::Queued(_)
        | Event::TextDelta(_)
        | Event::ToolCall(_)
        | Event::ToolResult(_)
        | Event::ContextCompacted(_) => false,
        Event::Retrying(retrying) => retrying.scope() != RetryScope::Api,
        _ => true,
    }
}

/// How often a turn was given to a process.
pub(super) fn starts(heard: &Heard) -> usize {
    heard.events.iter().filter(|event| matches!(event.event, Some(Event::Started(_)))).count()
}

/// Checks a turn that COMPLETED and returns its text.
#[track_caller]
pub(crate) fn completed(turn: &Turn) -> &str {
    assert_eq!(turn.state(), TurnState::Completed, "{turn:?}");
    assert!(turn.failure.is_none() && turn.partial_text.is_empty(), "{turn:?}");
    &turn.text
}

/// Checks a turn that FAILED for this reason and returns the failure's message. It holds no text as an answer.
#[track_caller]
pub(super) fn failed<'a>(turn: &'a Turn, reason: &str) -> &'a str {
    assert_eq!(turn.state(), TurnState::Failed, "{turn:?}");
    let failure = turn.failure.as_ref().expect("a failed turn says why");
    assert_eq!(failure.reason, reason, "{turn:?}");
    assert!(turn.text.is_empty(), "partial text is no answer: {turn:?}");
    &failure.message
}

/// Checks a turn that was CANCELLED for this reason.
#[track_caller]
pub(super) fn cancelled(turn: &Turn, reason: &str) {
    assert_eq!(turn.state(), TurnState::Cancelled, "{turn:?}");
    assert_eq!(turn.failure.as_ref().map(|failure| failure.reason.as_str()), Some(reason), "{turn:?}");
    assert!(turn.text.is_empty(), "partial text is no answer: {turn:?}");
}

/// Checks a refusal by code and stable reason.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = result.expect_err("it must be refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
    assert!(!status.message().is_empty(), "a refusal says something: {status:?}");
    status
}

/// Checks a refusal of bad input: every bad field is named.
#[track_caller]
pub(super) fn bad_input<T: std::fmt::Debug>(result: Result<T, Status>, fields: &[&str]) -> Status {
    let status = refused(result, Code::InvalidArgument, "INVALID_ARGUMENT");
    assert_eq!(bad_fields(&status), fields, "{status:?}");
    for field in fields {
        assert!(status.message().contains(field), "the message names {field}: {status:?}");
    }
    status
}

/// The processes of a world but for the server itself.
pub(super) fn children(server: &TestServer) -> Vec<Process> {
    server.processes().all().into_iter().filter(|process| process.kind != Kind::Server).collect()
}
