//! The same request sent twice is one turn: at once, later, and over a restart of the server.

use claude_comms_proto::v1::SendMessageRequest;
use claude_comms_tests::{Gate, Reply, client::reason};
use tonic::Code;
use uuid::Uuid;

use super::stage::{Stage, assert_answer, hear_text};

fn request(conversation: &str, prompt: &str, id: Uuid) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: conversation.into(),
        prompt: prompt.into(),
        request_id: id.to_string(),
        ..SendMessageRequest::default()
    }
}

async fn assert_other_payload_is_refused(stage: &Stage, conversation: &str, id: Uuid) {
    let refused = stage.client.send_request(request(conversation, "another", id)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_runs_once() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let id = Uuid::new_v4();
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(3).held_after(1, &gate));
    let mut first = stage.client.send_request(request(&conversation, "once", id)).await.unwrap();
    hear_text(&mut first, "tok0 ").await;
    // While it runs: the same turn, from its beginning.
    let mut second = stage.client.send_request(request(&conversation, "once", id)).await.unwrap();
    hear_text(&mut second, "tok0 ").await;
    assert_other_payload_is_refused(&stage, &conversation, id).await;
    gate.open();
    first.to_end().await;
    second.to_end().await;
    // Once it has ended.
    let mut third = stage.client.send_request(request(&conversation, "once", id)).await.unwrap();
    third.to_end().await;
    for heard in [&first, &second, &third] {
        assert_answer(heard, "tok0 tok1 tok2 ");
        assert_eq!((heard.turn_id(), heard.turn().request_id.clone()), (first.turn_id(), id.to_string()));
    }
    assert_other_payload_is_refused(&stage, &conversation, id).await;
    assert_eq!(stage.api.requests().len(), 1);
    // An ID belongs to its conversation.
    let other = stage.client.new_conversation().await;
    let mut elsewhere = stage.client.send_request(request(&other, "once", id)).await.unwrap();
    elsewhere.to_end().await;
    assert_answer(&elsewhere, "once");
    assert_ne!(elsewhere.turn_id(), first.turn_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_over_a_restart_runs_once() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let (ended, waiting) = (Uuid::new_v4(), Uuid::new_v4());
    let mut first = stage.client.send_request(request(&conversation, "ended", ended)).await.unwrap();
    first.to_end().await;
    assert_answer(&first, "ended");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(3).held_after(1, &gate));
    let mut running = stage.client.send(&conversation, "running").await.unwrap();
    hear_text(&mut running, "tok0 ").await;
    let mut queued = stage.client.send_request(request(&conversation, "waiting", waiting)).await.unwrap();
    queued.next().await;
    stage.crash().await;
    stage.restart().await;
    for (id, prompt, turn) in [(ended, "ended", first.turn_id()), (waiting, "waiting", queued.turn_id())] {
        let mut again = stage.client.send_request(request(&conversation, prompt, id)).await.unwrap();
        again.to_end().await;
        assert_answer(&again, prompt);
        assert_eq!(again.turn_id(), turn);
        assert_other_payload_is_refused(&stage, &conversation, id).await;
    }
    assert_eq!(stage.api.requests().len(), 3);
}
