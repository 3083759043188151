//! Turns that somebody ends: the request to the API is dropped, the process stays, the next turn works.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::{CancelTurnRequest, SendMessageRequest, TurnState, turn_event::Event};
use claude_comms_tests::{Gate, Reply, client::reason, messages_api::Ending};
use tonic::Code;

use super::stage::{Stage, assert_answer, assert_cancelled, assert_failed, count, hear_text, is_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_turn_drops_its_request_and_keeps_its_process() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let claude = stage.claude_pid();
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(9).held_after(2, &gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    let cancelled = stage.cancel(heard.turn_id()).await;
    assert_cancelled(&cancelled, "CANCEL_REQUESTED");
    assert_eq!(cancelled.partial_text, "tok0 tok1 ");
    assert_eq!(heard.to_end().await, &cancelled);
    assert_eq!(count(&heard, is_terminal), 1);
    assert_eq!(stage.api.wait_for_ending(1).await, Ending::ListenerLeft);
    assert_eq!(stage.cancel(&cancelled.id).await, cancelled, "a second time changes nothing");

    assert_answer(&stage.client.ask(&conversation, "three").await, "three");
    assert_eq!(stage.claude_pid(), claude, "the process stays");
    let users = stage.last_request_users();
    assert_eq!((users[0].as_str(), users.last().unwrap().as_str()), ("one", "three"), "{users:?}");
    assert_eq!(users.iter().any(|user| user == "two"), cancelled.in_context, "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_can_be_cancelled_before_the_api_says_anything() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    stage.api.queue(Reply::silence());
    let mut heard = stage.client.send(&conversation, "one").await.unwrap();
    stage.api.wait_for_requests(1).await;
    heard.until(|event| matches!(event, Event::Started(_))).await;
    assert_cancelled(&stage.cancel(heard.turn_id()).await, "CANCEL_REQUESTED");
    assert_eq!(stage.api.wait_for_ending(0).await, Ending::ListenerLeft);
    assert_answer(&stage.client.ask(&conversation, "two").await, "two");
}

/// The prompt may be on its way to the CLI, in its queue, or just begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_cancelled_as_soon_as_it_is_accepted_ends_at_once() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let claude = stage.claude_pid();
    stage.api.always_for("hurry", Reply::silence());
    let mut slowest = Duration::ZERO;
    for round in 0..12 {
        let turn = stage.submit(&conversation, &format!("hurry {round}")).await;
        let begin = Instant::now();
        if round % 3 == 1 {
            // Between the start and the request to the API.
            stage.watch_until_started(&turn.id).await;
        }
        assert_cancelled(&stage.cancel(&turn.id).await, "CANCEL_REQUESTED");
        slowest = slowest.max(begin.elapsed());
        if round % 4 == 3 {
            let text = format!("well {round}");
            assert_answer(&stage.client.ask(&conversation, text.clone()).await, &text);
        }
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(stage.claude_pid(), claude, "the process stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_turn_that_is_cancelled_never_reaches_the_model() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(2).held_after(1, &gate));
    let mut running = stage.client.send(&conversation, "running").await.unwrap();
    hear_text(&mut running, "tok0 ").await;
    let mut queued = stage.client.send(&conversation, "queued").await.unwrap();
    let position = queued.until(|event| matches!(event, Event::Queued(_))).await;
    assert!(matches!(position.event, Some(Event::Queued(queued)) if queued.position == 1));
    let behind = stage.submit(&conversation, "behind").await;
    let cancelled = stage.cancel(queued.turn_id()).await;
    assert_cancelled(&cancelled, "CANCEL_REQUESTED");
    assert_eq!((cancelled.attempt, cancelled.in_context, cancelled.instance_id.as_str()), (0, false, ""));
    assert_eq!(queued.to_end().await, &cancelled);
    gate.open();
    running.to_end().await;
    assert_answer(&running, "tok0 tok1 ");
    assert_eq!(stage.wait_turn(&behind.id).await.state(), TurnState::Completed);
    assert_eq!(stage.last_request_users(), ["running", "behind"]);
    let too_late = CancelTurnRequest { id: behind.id };
    let refused = stage.client.conversations.clone().cancel_turn(too_late).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TURN_ALREADY_ENDED"));
}

fn with_timeout(conversation: &str, prompt: &str, timeout: Duration) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: conversation.into(),
        prompt: prompt.into(),
        timeout: Some(timeout.try_into().unwrap()),
        ..SendMessageRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_takes_too_long_fails_and_the_process_stays() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let claude = stage.claude_pid();
    stage.api.queue(Reply::tokens(5).hang_after(2));
    let slow = with_timeout(&conversation, "slow", Duration::from_millis(1500));
    let mut heard = stage.client.send_request(slow).await.unwrap();
    // Its time runs while it waits, too.
    let waiting = with_timeout(&conversation, "waiting", Duration::from_millis(500));
    let mut queued = stage.client.send_request(waiting).await.unwrap();
    queued.to_end().await;
    assert_failed(queued.turn(), "TURN_TIMEOUT");
    assert_eq!((queued.turn().attempt, queued.turn().in_context), (0, false));
    heard.to_end().await;
    assert_failed(heard.turn(), "TURN_TIMEOUT");
    assert_eq!(heard.turn().partial_text, "tok0 tok1 ");
    assert_eq!(stage.api.wait_for_ending(1).await, Ending::ListenerLeft);
    assert_answer(&stage.client.ask(&conversation, "next").await, "next");
    assert_eq!(stage.claude_pid(), claude);
    assert!(!stage.last_request_users().contains(&"waiting".into()));
}
