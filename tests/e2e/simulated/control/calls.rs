//! Every call and command about one instance, its conversation or its turn, by name. What it answers, in few words.

use std::time::Duration;

use claude_comms_proto::v1::{
    CancelTurnRequest, DrainRequest, GetInstanceRequest, GetServerInfoRequest, GetTurnRequest,
    InterruptInstanceRequest, MonitorInstanceRequest, PauseInstanceRequest, QueryInstanceRequest,
    QueryModuleRequest, ResumeInstanceRequest, SendMessageRequest, StartInstanceRequest, StopInstanceRequest,
    StopMode, SubmitMessageRequest, SubmitModuleQueryRequest, UpgradeConversationRequest, WaitTurnRequest,
    WatchConversationRequest, WatchPoolRequest, WatchTurnRequest,
};
use claude_comms_tests::{Client, TestServer, client::reason, within};
use tonic::Status;

use super::wrong_states::Target;

/// A drain that ends nothing by itself.
fn long_drain() -> DrainRequest {
    DrainRequest { timeout: Some(prost_types::Duration { seconds: 3600, nanos: 0 }) }
}

pub(super) async fn drain(client: &Client) {
    assert!(client.diagnostics.clone().drain(long_drain()).await.unwrap().into_inner().draining);
}

/// How long a call that waits for a turn's end is given to prove that it waits.
const WAITS: Duration = Duration::from_millis(300);

/// Whether a call that is not refused changes the instance or its turn.
pub(super) fn changes(name: &str) -> bool {
    !matches!(
        name,
        "GetInstance"
            | "MonitorInstance"
            | "WatchPool"
            | "WatchConversation"
            | "GetTurn"
            | "WatchTurn"
            | "WaitTurn"
            | "show-instance"
            | "show-turn"
            | "status"
            | "GetServerInfo"
            | "Drain"
            | "drain"
    )
}

/// `ok`, `waits`, or the refusal: code and reason, and its message.
pub(super) async fn answer(
    server: &TestServer,
    client: &Client,
    name: &str,
    target: &Target,
) -> (String, String) {
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return command(server, name, target).await;
    }
    let calling = call(client, name, target);
    let answered = if name == "WaitTurn" {
        match tokio::time::timeout(WAITS, calling).await {
            Ok(answered) => answered,
            Err(_) => return ("waits".to_owned(), String::new()),
        }
    } else {
        within(name, calling).await
    };
    match answered {
        Ok(()) => ("ok".to_owned(), String::new()),
        Err(status) => (format!("{:?} {}", status.code(), reason(&status)), status.message().to_owned()),
    }
}

async fn call(client: &Client, name: &str, target: &Target) -> Result<(), Status> {
    let (mut instances, mut conversations) = (client.instances.clone(), client.conversations.clone());
    let (mut modules, mut diagnostics) = (client.modules.clone(), client.diagnostics.clone());
    let Target { instance: id, conversation, turn } = target.clone();
    let (conversation_id, prompt) = (conversation, "hello".to_owned());
    match name {
        "GetInstance" => instances.get_instance(GetInstanceRequest { id }).await.map(drop),
        "StartInstance" => {
            let request = StartInstanceRequest { conversation_id, ..Default::default() };
            instances.start_instance(request).await.map(drop)
        }
        "MonitorInstance" => {
            let request = MonitorInstanceRequest { id, ..Default::default() };
            instances.monitor_instance(request).await.map(drop)
        }
        "WatchPool" => instances.watch_pool(WatchPoolRequest {}).await.map(drop),
        "WatchConversation" => {
            let request = WatchConversationRequest { conversation_id, ..Default::default() };
            conversations.watch_conversation(request).await.map(drop)
        }
        "StopInstance" => {
            let request = StopInstanceRequest { id, mode: StopMode::Now.into() };
            instances.stop_instance(request).await.map(drop)
        }
        "PauseInstance" => instances.pause_instance(PauseInstanceRequest { id }).await.map(drop),
        "ResumeInstance" => instances.resume_instance(ResumeInstanceRequest { id }).await.map(drop),
        "InterruptInstance" => instances.interrupt_instance(InterruptInstanceRequest { id }).await.map(drop),
        "QueryInstance" => {
            let request = QueryInstanceRequest { id, prompt, ..Default::default() };
            instances.query_instance(request).await.map(drop)
        }
        "SendMessage" => {
            let request = SendMessageRequest { conversation_id, prompt, ..Default::default() };
            conversations.send_message(request).await.map(drop)
        }
        "SubmitMessage" => {
            let request = SubmitMessageRequest { conversation_id, prompt, ..Default::default() };
            conversations.submit_message(request).await.map(drop)
        }
        "SubmitMessage to the instance" => {
            let request =
                SubmitMessageRequest { conversation_id, prompt, instance_id: id, ..Default::default() };
            conversations.submit_message(request).await.map(drop)
        }
        "QueryModule" => {
            let request = QueryModuleRequest { conversation_id, prompt, ..Default::default() };
            modules.query_module(request).await.map(drop)
        }
        "SubmitModuleQuery" => {
            let request = SubmitModuleQueryRequest { conversation_id, prompt, ..Default::default() };
            modules.submit_module_query(request).await.map(drop)
        }
        "GetTurn" => conversations.get_turn(GetTurnRequest { id: turn }).await.map(drop),
        "WatchTurn" => {
            let request = WatchTurnRequest { turn_id: turn, ..Default::default() };
            conversations.watch_turn(request).await.map(drop)
        }
        "WaitTurn" => conversations.wait_turn(WaitTurnRequest { id: turn }).await.map(drop),
        "CancelTurn" => conversations.cancel_turn(CancelTurnRequest { id: turn }).await.map(drop),
        "UpgradeConversation" => {
            let request = UpgradeConversationRequest { id: conversation_id };
            conversations.upgrade_conversation(request).await.map(drop)
        }
        "GetServerInfo" => diagnostics.get_server_info(GetServerInfoRequest {}).await.map(drop),
        "Drain" => diagnostics.drain(long_drain()).await.map(drop),
        other => panic!("no such call: {other}"),
    }
}

async fn command(server: &TestServer, name: &str, target: &Target) -> (String, String) {
    let Target { instance, conversation, turn } = target;
    let rest: Vec<&str> = match name {
        "query-instance" => vec!["--id", instance, "hello", "--background"],
        "continue-conversation" => vec!["--id", conversation, "hello", "--background"],
        "start-instance" => vec!["--conversation", conversation],
        "stop-instance" => vec!["--id", instance, "--now"],
        "show-turn" | "cancel-turn" => vec!["--id", turn],
        "status" => vec![],
        "drain" => vec!["--drain-timeout", "1h", "--no-wait"],
        _ => vec!["--id", instance],
    };
    let ran = server.cli(&[&[name], rest.as_slice()].concat()).await;
    if ran.code == Some(0) {
        return ("ok".to_owned(), String::new());
    }
    let error = ran.stderr.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default();
    let (reason, message) = error.split_once(": ").unwrap_or(("", error));
    (format!("{} {reason}", ran.code.unwrap_or(-1)), message.to_owned())
}
