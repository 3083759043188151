//! A conversation's turns run one at a time and in order; conversations run side by side.

use claude_comms_proto::v1::TurnState;
use claude_comms_tests::{Client, PATIENCE, eventually};
use tokio::task::JoinSet;

use super::support::{
    HANG_ON_REQUEST, cancel, completed, get, playing_turns, submit, submit_running, turns, wait,
};

async fn submit_at_once(client: &Client, conversation: &str, count: usize) -> Vec<String> {
    let mut submissions = JoinSet::new();
    for number in 0..count {
        let (client, conversation) = (client.clone(), conversation.to_owned());
        submissions
            .spawn(async move { submit(&client, &conversation, &format!("prompt {number}")).await.id });
    }
    submissions.join_all().await
}

#[tokio::test]
async fn fifty_turns_submitted_at_once_run_one_after_another_in_their_order() {
    let server = claude_comms_tests::TestServer::simulated().start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    for turn in submit_at_once(&client, &conversation, 50).await {
        wait(&client, &turn).await;
    }
    let turns = turns(&client, &conversation).await;
    assert_eq!(turns.len(), 50);
    for (number, turn) in turns.iter().enumerate() {
        let text = completed(turn);
        assert!(text.contains(&format!("This is turn {} of", number + 1)), "{text}");
        assert!(text.contains(&format!("\"{}\"", turn.prompt)), "{text}");
        assert_eq!(turn.attempt, 1);
    }
    for pair in turns.windows(2) {
        let (ended, next) = (pair[0].end_time.unwrap(), pair[1].start_time.unwrap());
        assert!((ended.seconds, ended.nanos) <= (next.seconds, next.nanos), "two ran at once: {pair:?}");
    }
}

#[tokio::test]
async fn conversations_run_side_by_side() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let (one, other) = (client.new_conversation().await, client.new_conversation().await);
    let mut hanging = submit_running(&client, &one, "hang").await;
    let behind = submit(&client, &one, "behind").await;
    completed(client.ask(&other, "beside").await.turn());
    assert_eq!(get(&client, &behind.id).await.state(), TurnState::Queued);
    cancel(&client, hanging.turn_id()).await;
    hanging.to_end().await;
    completed(&wait(&client, &behind.id).await);
}

#[tokio::test]
async fn cancelling_a_queued_turn_lets_the_others_keep_their_order() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let hanging = submit_running(&client, &conversation, "hang").await;
    let first = submit(&client, &conversation, "first").await;
    let never = submit(&client, &conversation, "never").await;
    let last = submit(&client, &conversation, "last").await;
    let gone = cancel(&client, &never.id).await;
    super::support::cancelled(&gone, "CANCEL_REQUESTED");
    assert_eq!((gone.attempt, gone.in_context), (0, false), "it never reached a process");
    let ended = cancel(&client, hanging.turn_id()).await;
    super::support::cancelled(&ended, "CANCEL_REQUESTED");
    assert_eq!(ended.partial_text, "Hanging");
    assert!(ended.in_context, "the prompt stays in Claude's memory");
    completed(&wait(&client, &first.id).await);
    let text = completed(&wait(&client, &last.id).await).to_owned();
    assert!(text.contains("\"last\"") && text.contains("the one before: \"first\""), "{text}");
    assert!(!text.contains("never"), "{text}");
    // The process that was interrupted is the one that went on.
    eventually(PATIENCE, "one Claude", async || (server.processes().claudes().len() == 1).then_some(()))
        .await;
}

#[tokio::test]
async fn one_request_sent_twenty_times_at_once_runs_once_and_everybody_hears_it() {
    let server = claude_comms_tests::TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = super::support::start_instance(&client, "one").await;
    for round in 1..=5 {
        let request = claude_comms_proto::v1::SendMessageRequest {
            conversation_id: instance.conversation_id.clone(),
            prompt: "once".into(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let mut sending = JoinSet::new();
        for _ in 0..20 {
            let (client, request) = (client.clone(), request.clone());
            sending.spawn(async move {
                let mut heard = client.send_request(request).await.unwrap();
                heard.to_end().await;
                assert_eq!(super::support::starts(&heard), 1, "{:?}", heard.events);
                heard.turn().clone()
            });
        }
        let turns = sending.join_all().await;
        assert!(turns.windows(2).all(|pair| pair[0] == pair[1]), "{turns:?}");
        assert!(completed(&turns[0]).contains(&format!("This is turn {round} of")), "{}", turns[0].text);
    }
    let claudes = server.processes().claudes();
    assert_eq!(claudes.iter().map(|c| c.pid).collect::<Vec<_>>(), [instance.process_id], "its process stays");
}
