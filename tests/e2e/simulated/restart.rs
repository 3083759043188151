//! A server that ends, in whichever way, keeps what it accepted: each turn has one end, and what waited runs once.

use claude_comms_proto::v1::{
    InstanceState, QueryInstanceRequest, SendMessageRequest, StopInstanceRequest, SubmitMessageRequest,
    TurnState,
};
use claude_comms_tests::{
    Client, PATIENCE,
    client::{Heard, reason},
    eventually,
};
use tonic::{Code, Status};

use super::support::{
    HANG_ON_REQUEST, completed, failed, first_text, get, playing_turns, refused, start_instance, starts,
    submit, submit_running, try_submit, turns, wait, watch,
};

/// Prompts that contain `slow` take 0.6 s.
const SLOW_ON_REQUEST: &str = "turns:\n  - { when: { contains: slow }, steps: [{ repeat: { text: \"slow \", count: 60, delay_ms: 10 } }] }\n";

async fn runs_once(client: &Client, turn: &str) -> String {
    let ended = wait(client, turn).await;
    let text = completed(&ended).to_owned();
    let mut heard = watch(client, turn, None, 0).await;
    heard.to_end().await;
    assert_eq!((starts(&heard), ended.attempt), (1, 1), "{:?}", heard.events);
    text
}

#[tokio::test]
async fn sigterm_lets_the_running_turn_end_refuses_new_ones_and_keeps_the_queued() {
    let mut server = playing_turns(SLOW_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "slow").await;
    let queued =
        [submit(&client, &conversation, "queued 0").await, submit(&client, &conversation, "queued 1").await];

    let mut accepted = Vec::new();
    let (ran, ()) = tokio::join!(server.terminate(), async {
        let refused = eventually(PATIENCE, "new turns are refused", async || {
            match try_submit(&client, &conversation, "too late").await {
                Ok(turn) => {
                    accepted.push(turn);
                    None
                }
                Err(status) => Some(status),
            }
        })
        .await;
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::Unavailable, "DRAINING"),
            "{refused:?}"
        );
        assert_eq!(completed(running.to_end().await), "slow ".repeat(60));
        let request = claude_comms_proto::v1::WaitTurnRequest { id: queued[0].id.clone() };
        let detached = client.conversations.clone().wait_turn(request).await.unwrap_err();
        assert_eq!(
            detached.code(),
            Code::Unavailable,
            "who waits for a queued turn is told to come back: {detached:?}"
        );
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    server.processes().await_gone().await;

    server.restart().await;
    let client = server.client().await;
    for (number, turn) in queued.iter().chain(&accepted).enumerate() {
        let text = runs_once(&client, &turn.id).await;
        assert!(text.contains(&format!("This is turn {} of", number + 2)), "{text}");
    }
    assert_eq!(completed(&get(&client, running.turn_id()).await), "slow ".repeat(60));
    assert_eq!(turns(&client, &conversation).await.len(), 3 + accepted.len());
}

#[tokio::test]
async fn a_draining_server_says_so_to_the_command_line() {
    let mut server = playing_turns(SLOW_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "slow").await;
    let command = server.cli_command(&["continue-conversation", "--id", &conversation, "too late"]);
    let (_, ()) = tokio::join!(server.terminate(), async {
        eventually(PATIENCE, "new turns are refused", async || {
            try_submit(&client, &conversation, "probe").await.err()
        })
        .await;
        let ran = claude_comms_tests::Ran::to_end(command).await.expect(3);
        assert!(ran.stderr.contains("DRAINING") && ran.stderr.contains("hint:"), "{}", ran.stderr);
        running.to_end().await;
    });
}

#[tokio::test]
async fn a_killed_server_ends_the_running_turn_once_and_runs_the_queued_ones() {
    let mut server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "before").await.turn());
    let running = submit_running(&client, &conversation, "hang").await;
    let queued =
        [submit(&client, &conversation, "queued 0").await, submit(&client, &conversation, "queued 1").await];
    server.kill9().await;
    server.processes().await_gone().await;
    server.restart().await;

    let client = server.client().await;
    let ended = wait(&client, running.turn_id()).await;
    failed(&ended, "SERVER_RESTARTED");
    for turn in &queued {
        let text = runs_once(&client, &turn.id).await;
        assert!(text.contains("The first asked: \"before\""), "Claude remembers: {text}");
    }
    let all = turns(&client, &conversation).await;
    let states: Vec<TurnState> = all.iter().map(claude_comms_proto::v1::Turn::state).collect();
    assert_eq!(states, [TurnState::Completed, TurnState::Failed, TurnState::Completed, TurnState::Completed]);
}

#[tokio::test]
async fn a_request_id_is_the_same_turn_for_whoever_retries_also_over_a_restart() {
    let mut server = playing_turns(SLOW_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let request = SendMessageRequest {
        conversation_id: conversation.clone(),
        prompt: "slow".into(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let mut first = client.send_request(request.clone()).await.unwrap();
    first_text(&mut first).await;
    let mut second = client.send_request(request.clone()).await.unwrap();
    second.to_end().await;
    first.to_end().await;
    assert_eq!((second.turn(), &second.text), (first.turn(), &first.text));

    let other = SendMessageRequest { prompt: "other".into(), ..request.clone() };
    let status = client.send_request(other.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        "{status:?}"
    );

    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    let mut third = client.send_request(request.clone()).await.unwrap();
    third.to_end().await;
    assert_eq!((third.turn(), &third.text), (first.turn(), &first.text));
    let submitted = SubmitMessageRequest {
        conversation_id: request.conversation_id,
        prompt: request.prompt,
        request_id: request.request_id.clone(),
        ..Default::default()
    };
    let fourth = client.conversations.clone().submit_message(submitted).await.unwrap().into_inner();
    assert_eq!(&fourth, first.turn());
    assert_eq!(turns(&client, &conversation).await.len(), 1);
    // The scope is the conversation.
    let elsewhere = SendMessageRequest { conversation_id: client.new_conversation().await, ..other };
    let mut elsewhere = client.send_request(elsewhere).await.unwrap();
    assert_ne!(elsewhere.to_end().await.id, first.turn().id);
    assert_eq!(elsewhere.turn().request_id, request.request_id);
}

#[tokio::test]
async fn a_retry_gets_its_turn_also_when_new_turns_are_refused() {
    let mut server = playing_turns(SLOW_ON_REQUEST).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "keeper").await;
    let query = QueryInstanceRequest {
        id: instance.id.clone(),
        prompt: "once".into(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let again = async |query: &QueryInstanceRequest| {
        let stream = client.instances.clone().query_instance(query.clone()).await?.into_inner();
        let mut heard = Heard::new(stream);
        heard.to_end().await;
        Ok::<_, Status>(heard.turn().clone())
    };
    let turn = again(&query).await.unwrap();
    let stop = StopInstanceRequest { id: instance.id.clone(), ..Default::default() };
    client.instances.clone().stop_instance(stop).await.unwrap();
    let new = QueryInstanceRequest { request_id: String::new(), ..query.clone() };
    refused(again(&new).await, Code::FailedPrecondition, "INSTANCE_STOPPED");
    assert_eq!(again(&query).await.unwrap(), turn);
    let other = QueryInstanceRequest { prompt: "other".into(), ..query };
    refused(again(&other).await, Code::AlreadyExists, "REQUEST_ID_REUSED");

    let request = SendMessageRequest {
        conversation_id: instance.conversation_id,
        prompt: "slow".into(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let mut running = client.send_request(request.clone()).await.unwrap();
    first_text(&mut running).await;
    let elsewhere = client.new_conversation().await;
    let (ran, ()) = tokio::join!(server.terminate(), async {
        eventually(PATIENCE, "new turns are refused", async || {
            try_submit(&client, &elsewhere, "probe").await.err()
        })
        .await;
        let mut retried = client.send_request(request).await.unwrap();
        assert_eq!(retried.to_end().await, running.to_end().await);
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn a_pinned_instance_survives_a_restart_without_a_process() {
    for kill in [false, true] {
        let mut server = claude_comms_tests::TestServer::simulated().start().await;
        let client = server.client().await;
        let before = start_instance(&client, "keeper").await;
        completed(client.ask(&before.conversation_id, "remember me").await.turn());
        if kill {
            server.kill9().await;
        } else {
            assert_eq!(server.terminate().await.code, Some(0));
        }
        server.restart().await;
        let client = server.client().await;
        let request = claude_comms_proto::v1::GetInstanceRequest { id: "keeper".into() };
        let after = client.instances.clone().get_instance(request).await.unwrap().into_inner();
        assert_eq!((&after.id, after.state(), after.process_id), (&before.id, InstanceState::Dormant, 0));
        assert!(server.processes().claudes().is_empty());
        let text = completed(client.ask(&after.conversation_id, "and?").await.turn()).to_owned();
        assert!(text.contains("The one before asked: \"remember me\""), "{text}");
        let stopped =
            server.cli(&["stop-instance", "--id", "keeper", "--output", "json"]).await.expect(0).json();
        assert_eq!(
            (&stopped["turnCount"], &stopped["processGeneration"]),
            (&2.into(), &2.into()),
            "{kill}: {stopped}"
        );
    }
}

#[tokio::test]
async fn a_turn_that_outlasts_the_drain_is_cancelled_with_what_had_come() {
    let mut server =
        playing_turns(HANG_ON_REQUEST).configuration("pool: {drain_timeout: 1s}\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "hang").await;
    let queued = submit(&client, &conversation, "queued").await;
    let (ran, ()) = tokio::join!(server.terminate(), async {
        super::support::cancelled(running.to_end().await, "SERVER_SHUTDOWN");
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    server.restart().await;
    let client = server.client().await;
    let ended = get(&client, running.turn_id()).await;
    super::support::cancelled(&ended, "SERVER_SHUTDOWN");
    assert_eq!(ended.partial_text, "Hanging");
    runs_once(&client, &queued.id).await;
}
