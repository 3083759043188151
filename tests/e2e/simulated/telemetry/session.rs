//! A session of which everything is known: each kind of end, each kind of second try, and refusals.

use claude_comms_proto::v1::{GetStatisticsRequest, QueryModuleRequest, Statistics, Turn};
use claude_comms_tests::{Client, TestServer, server::Builder};
use tonic::Code;

use crate::simulated::{
    modules::support::{counter, query, question, register},
    support::{cancel, completed, failed, playing_turns, start_instance, submit, submit_running, try_submit},
};

/// In every prompt, answer, system prompt and title of the session: never in a log and never in a figure.
pub(crate) const CANARY: &str = "Zwiebelfisch";

const SCENARIO: &str = "\
turns:
  - { when: { contains: please hang }, steps: [{ text: Zwiebelfisch hangs }, hang] }
  - { when: { contains: please fail }, steps: [message_start, { fail: { status: 500 } }] }
  - { when: { contains: please die }, once: instance, steps: [{ stderr: Zwiebelfisch dies }, { crash: kill }] }
  - { when: { contains: please die }, steps: [{ text: Zwiebelfisch lives }] }
  - { when: { contains: please wait }, steps: [{ api_retry: { status: 529, error: overloaded, delay_ms: 1, times: 3 } }, { text: Zwiebelfisch }] }
  - { when: { contains: cannot be used }, steps: [{ text: \"```json\\n{\\\"count\\\": 7}\\n```\" }] }
  - { when: { contains: count them }, steps: [{ text: Zwiebelfisch without data }] }
";

/// A server for the session.
pub(crate) fn server() -> Builder {
    playing_turns(SCENARIO).arguments(&["--log-format", "json", "--verbose"])
}

/// What was done, in the order of its end.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) turns: Vec<Turn>,
}

/// Three answers, one of them at the second process, one after three API retries; one failure, one cancelled while it ran
/// and one while it waited; one question to a module with a repair; two refusals.
pub(crate) async fn run(server: &TestServer) -> Session {
    let client = server.client().await;
    let mut turns = Vec::new();
    let conversation = start_instance(&client, "one").await.conversation_id;
    for prompt in ["hello", "please die", "please wait"] {
        let heard = client.ask(&conversation, format!("{CANARY} {prompt}")).await;
        completed(heard.turn());
        turns.push(heard.turn().clone());
    }
    let heard = client.ask(&conversation, format!("{CANARY} please fail")).await;
    failed(heard.turn(), "API_SERVER_ERROR");
    turns.push(heard.turn().clone());

    let mut running = submit_running(&client, &conversation, &format!("{CANARY} please hang")).await;
    let queued = submit(&client, &conversation, &format!("{CANARY} in the queue")).await;
    turns.push(cancel(&client, &queued.id).await);
    cancel(&client, running.turn_id()).await;
    turns.push(running.to_end().await.clone());

    register(&client, &counter()).await;
    let counting = QueryModuleRequest {
        capability: "count_things".into(),
        ..question("marker", "counter", &format!("{CANARY} count them"))
    };
    let heard = query(&client, counting).await;
    completed(heard.turn());
    turns.push(heard.turn().clone());

    let nowhere = uuid::Uuid::now_v7().to_string();
    let refused = try_submit(&client, &nowhere, CANARY).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
    let refused = try_submit(&client, &conversation, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    Session { turns }
}

/// The figures of a server.
pub(crate) async fn statistics(client: &Client) -> Statistics {
    client.diagnostics.clone().get_statistics(GetStatisticsRequest {}).await.unwrap().into_inner()
}
