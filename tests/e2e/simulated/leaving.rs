//! Who leaves a stream loses nothing: the turn goes on, and its stream can be taken up at any place.

use claude_comms_proto::v1::{GetConversationRequest, TurnState, turn_event::Event};
use claude_comms_tests::{Client, client::Heard};
use tokio::task::JoinSet;

use super::support::{
    HANG_ON_REQUEST, cancel, completed, first_text, is_durable, playing, playing_turns, submit,
    submit_running, wait, watch,
};

/// 120 deltas of 7 bytes, 5 ms apart.
const PACED: &str = "turns:\n  - steps: [{ repeat: { text: \"é😀 \", count: 120, delay_ms: 5 } }]\n";

fn paced_text() -> String {
    "é😀 ".repeat(120)
}

#[tokio::test]
async fn a_client_that_leaves_after_the_first_delta_loses_nothing() {
    let server = playing_turns(PACED).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = submit_running(&client, &conversation, "go").await;
    let turn = heard.turn_id().to_owned();
    assert!(heard.text.len() < paced_text().len(), "it must leave before the end");
    drop((heard, client));

    let client = server.client().await;
    let arguments = ["wait-turn", "--id", &turn, "--output", "json"];
    let (ran, waited) = tokio::join!(server.cli(&arguments), wait(&client, &turn));
    assert_eq!(completed(&waited), paced_text());
    let ran = ran.expect(0).json();
    assert_eq!(
        (ran["state"].as_str(), ran["text"].as_str()),
        (Some("TURN_STATE_COMPLETED"), Some(&*paced_text()))
    );
}

#[tokio::test]
async fn a_killed_client_process_loses_nothing() {
    let server = playing_turns(PACED).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut command =
        server.cli_command(&["continue-conversation", "--id", &conversation, "go", "--output", "json"]);
    let mut child = command.spawn().unwrap();
    let mut lines = {
        use tokio::io::AsyncBufReadExt as _;
        tokio::io::BufReader::new(child.stdout.take().unwrap()).lines()
    };
    let turn = loop {
        let line = lines.next_line().await.unwrap().expect("a line with text comes");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["textDelta"].is_object() {
            break event["turnId"].as_str().unwrap().to_owned();
        }
    };
    child.kill().await.unwrap();
    assert_eq!(completed(&wait(&client, &turn).await), paced_text());
}

async fn rest_after(client: &Client, turn: &str, after: u64, offset: usize) -> Heard {
    let mut rest = watch(client, turn, Some(after), offset).await;
    rest.to_end().await;
    rest
}

#[track_caller]
fn is_exactly_the_rest(rest: &Heard, after: u64, offset: usize) {
    assert_eq!(rest.text, paced_text()[offset..], "from {offset}");
    let durable: Vec<u64> = rest.events.iter().filter(|e| is_durable(e)).map(|e| e.sequence).collect();
    assert!(durable.iter().all(|sequence| *sequence > after), "after {after}: {durable:?}");
    assert_eq!(completed(rest.turn()), paced_text());
}

#[tokio::test]
async fn watching_from_an_offset_gives_exactly_the_rest_while_the_turn_runs_and_after() {
    let server = playing_turns(PACED).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut heard = submit_running(&client, &conversation, "go").await;
    let turn = heard.turn_id().to_owned();
    let started = heard.events.last().unwrap().sequence;
    let accepted = heard.events.first().unwrap().sequence;

    let mut watchers = JoinSet::new();
    while heard.text.len() < paced_text().len() / 2 {
        for (after, offset) in [(started, heard.text.len()), (accepted, 0), (started, 2), (started, 6)] {
            let (client, turn) = (client.clone(), turn.clone());
            watchers.spawn(async move { (after, offset, rest_after(&client, &turn, after, offset).await) });
        }
        heard.next().await.expect("it still runs");
    }
    heard.to_end().await;
    assert_eq!(heard.text, paced_text());
    let terminal = heard.events.last().unwrap().sequence;
    while let Some(rest) = watchers.join_next().await {
        let (after, offset, rest) = rest.unwrap();
        is_exactly_the_rest(&rest, after, offset);
    }

    let whole = paced_text().len();
    for (after, offset) in
        [(accepted, 0), (started, 0), (started, 2), (started, 6), (started, 420), (started, whole)]
    {
        is_exactly_the_rest(&rest_after(&client, &turn, after, offset).await, after, offset);
    }
    let mut again = watch(&client, &turn, None, 0).await;
    again.to_end().await;
    is_exactly_the_rest(&again, 0, 0);
    assert!(matches!(again.events[0].event, Some(Event::Accepted(_))), "{:?}", again.events[0]);
    assert_eq!(again.events.last().unwrap().sequence, terminal);
}

#[tokio::test]
async fn many_watchers_at_once_see_the_same_turn() {
    let server = playing_turns(PACED).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut heard = submit_running(&client, &conversation, "go").await;
    let turn = heard.turn_id().to_owned();
    let mut watchers = JoinSet::new();
    for _ in 0..60 {
        let mut watcher = watch(&client, &turn, None, 0).await;
        watchers.spawn(async move {
            watcher.to_end().await;
            watcher
        });
    }
    heard.to_end().await;
    let durable = |heard: &Heard| heard.events.iter().filter(|e| is_durable(e)).cloned().collect::<Vec<_>>();
    let expected = durable(&heard);
    while let Some(watcher) = watchers.join_next().await {
        let watcher = watcher.unwrap();
        assert_eq!(watcher.text, paced_text());
        assert_eq!(durable(&watcher), expected);
        assert_eq!(watcher.turn(), heard.turn());
    }
}

#[tokio::test]
async fn a_queued_turn_tells_its_position_and_begins_with_accepted() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "hang").await;
    let second = submit(&client, &conversation, "hang too").await;
    let mut third = client.send(&conversation, "third").await.unwrap();
    let position = |event: &Event| match event {
        Event::Queued(queued) => Some(queued.position),
        _ => None,
    };
    third.until(|event| position(event) == Some(2)).await;
    assert!(matches!(third.events[0].event, Some(Event::Accepted(_))), "{:?}", third.events);
    cancel(&client, running.turn_id()).await;
    running.to_end().await;
    third.until(|event| position(event) == Some(1)).await;
    cancel(&client, &second.id).await;
    third.to_end().await;
    let positions: Vec<u32> =
        third.events.iter().filter_map(|e| position(e.event.as_ref().unwrap())).collect();
    assert!(positions.is_sorted_by(|a, b| a > b), "positions only fall: {positions:?}");
    assert!(completed(third.turn()).contains("\"third\""));
    assert_eq!(wait(&client, &second.id).await.state(), TurnState::Cancelled);
}

#[tokio::test]
async fn the_durable_events_of_a_conversation_are_numbered_without_gaps() {
    let server = playing("restarted_message").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut sequences = Vec::new();
    for prompt in ["one", "two", "three"] {
        let heard = client.ask(&conversation, prompt).await;
        let resets = heard.events.iter().filter(|e| matches!(e.event, Some(Event::TextReset(_)))).count();
        assert_eq!((resets, heard.text.as_str()), (1, "This is the answer."), "{:?}", heard.events);
        assert_eq!(completed(heard.turn()), "This is the answer.");
        sequences.extend(heard.events.iter().filter(|e| is_durable(e)).map(|e| e.sequence));
    }
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    let request = GetConversationRequest { id: conversation };
    let conversation = client.conversations.clone().get_conversation(request).await.unwrap().into_inner();
    assert_eq!((conversation.last_sequence, conversation.turn_count), (sequences.len() as u64, 3));
}

#[tokio::test]
async fn text_that_was_reset_is_not_given_again_to_who_comes_back() {
    let server = playing_turns(
        "turns:\n  - steps: [{ text: void }, cut_stream, { api_retry: { delay_ms: 300 } }, { text: \"an \" }, \
         { delay_ms: 300 }, { text: answer }]\n",
    )
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut heard = client.send(&conversation, "go").await.unwrap();
    first_text(&mut heard).await;
    let before_reset = heard.events.last().unwrap().sequence;
    let turn = heard.turn_id().to_owned();
    let reset = heard.until(|event| matches!(event, Event::TextReset(_))).await;
    // It held `void` when it lost the stream, and comes back with that offset while the new text is there.
    first_text(&mut heard).await;
    for (after, offset, rest) in [(before_reset, 4, "an answer"), (reset.sequence, 3, "answer")] {
        let mut again = watch(&client, &turn, Some(after), offset).await;
        again.to_end().await;
        assert_eq!(again.text, rest, "{:?}", again.events);
    }
    heard.to_end().await;
    assert_eq!(heard.text, "an answer");
}
