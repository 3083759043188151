//! A subscriber that reads nothing keeps its connection and its neighbours alive. h2 charges each unread frame below 256 bytes
//! against a budget of half the receiver's connection window and, when that is spent, closes the whole connection.

use claude_comms_proto::v1::{
    WatchTurnRequest, conversation_service_client::ConversationServiceClient, turn_event::Event,
};
use claude_comms_tests::{client::Heard, within};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use super::support::{playing_turns, submit_running};

/// Deltas of a turn, each in a write and mostly a frame of its own because of the pause after it.
const DELTAS: usize = 1000;
/// Streams of each turn that nobody reads.
const STALLED: usize = 10;
/// Frames to be left unread: h2 allows about 16 900 with tonic's default windows.
const UNREAD: usize = 32_000;

/// One connection with these windows, in bytes; none are tonic's own.
async fn connect(endpoint: &str, windows: Option<(u32, u32)>) -> ConversationServiceClient<Channel> {
    let mut target = Endpoint::from_shared(endpoint.to_owned()).unwrap();
    if let Some((connection, stream)) = windows {
        target = target.initial_connection_window_size(connection).initial_stream_window_size(stream);
    }
    ConversationServiceClient::new(within("a connection", target.connect()).await.unwrap())
}

/// Leaves more and more frames unread on one connection and reads turns beside them; returns how often a neighbour had to
/// come back because its connection was closed. It comes back as any client would: after the last event, at the end of
/// the text it holds.
async fn neighbours_of_stalled_streams(windows: Option<(u32, u32)>) -> usize {
    let server = playing_turns(&format!(
        "write: per_line\nturns:\n  - steps: [{{ repeat: {{ text: \"tok \", count: {DELTAS}, delay_ms: 1 }} }}]\n"
    ))
    .start()
    .await;
    let client = server.client().await;
    let shared = connect(server.unix(), windows).await;
    let conversations = [client.new_conversation().await, client.new_conversation().await];
    let (mut stalled, mut unread, mut came_back) = (Vec::new(), 0, 0);
    while unread < UNREAD {
        let (mut neighbours, mut frames) = (JoinSet::new(), JoinSet::new());
        for conversation in &conversations {
            let heard = submit_running(&client, conversation, "go").await;
            let turn = heard.turn_id().to_owned();
            for _ in 0..STALLED {
                let request = WatchTurnRequest { turn_id: turn.clone(), ..Default::default() };
                stalled.push(shared.clone().watch_turn(request).await.unwrap().into_inner());
            }
            neighbours.spawn(read_all(shared.clone(), turn));
            frames.spawn(count_frames(heard));
        }
        came_back += neighbours.join_all().await.into_iter().sum::<usize>();
        unread += frames.join_all().await.into_iter().sum::<usize>() * STALLED;
    }
    drop(stalled);
    came_back
}

/// Reads a turn to its end: every token once, over as many streams as it takes. Returns how many were lost.
async fn read_all(mut calls: ConversationServiceClient<Channel>, turn_id: String) -> usize {
    let (mut text, mut sequence, mut lost) = (String::new(), 0, 0);
    loop {
        let text_offset = text.len() as u64;
        let request =
            WatchTurnRequest { turn_id: turn_id.clone(), after_sequence: Some(sequence), text_offset };
        let mut stream = calls.watch_turn(request).await.expect("a connection is made again").into_inner();
        while let Ok(event) = within("an event for the neighbour", stream.message()).await {
            let event = event.expect("the stream does not end before the turn");
            sequence = event.sequence;
            match event.event {
                Some(Event::TextDelta(delta)) => {
                    assert_eq!(delta.offset, text.len() as u64, "a token is lost or doubled");
                    text.push_str(&delta.text);
                }
                Some(Event::Completed(_)) => {
                    assert_eq!(text, "tok ".repeat(DELTAS));
                    return lost;
                }
                _ => {}
            }
        }
        lost += 1;
    }
}

/// How many pieces a turn came in for a reader on another connection.
async fn count_frames(mut heard: Heard) -> usize {
    heard.to_end().await;
    heard.events.iter().filter(|event| matches!(event.event, Some(Event::TextDelta(_)))).count()
}

/// The windows of our own clients (client/rust). With (65 535, 65 535), HTTP/2's own, this test fails at once.
const OURS: (u32, u32) = (64 << 20, 1 << 20);

#[tokio::test]
async fn a_stalled_subscriber_does_not_disturb_its_neighbours() {
    assert_eq!(neighbours_of_stalled_streams(Some(OURS)).await, 0, "a connection was closed");
}

#[tokio::test]
async fn with_the_default_windows_of_tonic_its_neighbours_lose_no_token_even_when_h2_closes_the_connection() {
    neighbours_of_stalled_streams(None).await;
}
