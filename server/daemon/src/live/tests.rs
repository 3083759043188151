//! What a watcher is owed, whenever it comes, goes and comes back.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use claude_comms_model::{ClaudeRefs, InstanceId, RequestId, ResetReason, ServerId, TurnState, Usage};
use futures_core::Stream as _;
use proptest::prelude::*;
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use super::{watch::PIECE_BYTES, *};

fn event(sequence: u64, kind: EventKind) -> Event {
    Event {
        sequence,
        conversation_id: ConversationId(Uuid::nil()),
        turn_id: TurnId(Uuid::nil()),
        time: Timestamp(sequence as i64),
        kind,
    }
}

fn started(sequence: u64) -> Event {
    event(sequence, EventKind::Started { instance_id: InstanceId(Uuid::nil()), attempt: 1 })
}

fn live() -> Arc<LiveTurn> {
    let live = LiveTurn::new(TurnId(Uuid::nil()), ConversationId(Uuid::nil()));
    live.publish(vec![event(1, EventKind::Accepted { request_id: RequestId(Uuid::nil()) }), started(2)]);
    live
}

/// What a client holds after following its watch as the contract says.
#[derive(Debug, Default, Clone, PartialEq)]
struct Client {
    sequence: u64,
    text: String,
    durable: Vec<u64>,
}

impl Client {
    fn take(&mut self, told: Told) {
        match told {
            Told::Durable { event, .. } => {
                self.sequence = event.sequence;
                self.durable.push(event.sequence);
                if matches!(event.kind, EventKind::TextReset { .. }) {
                    self.text.clear();
                }
            }
            Told::Text { offset, text, sequence } => {
                assert_eq!(offset as usize, self.text.len(), "a byte was lost or doubled");
                assert_eq!(sequence, self.sequence);
                self.text.push_str(&text);
            }
            Told::Live { .. } => {}
        }
    }
}

/// Takes at most `most` items that are ready now.
fn take_ready(watch: &mut TurnWatch, client: &mut Client, most: usize) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..most {
        match Pin::new(&mut *watch).poll_next(&mut context) {
            Poll::Ready(Some(Ok(told))) => client.take(told),
            _ => break,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Text(String),
    Reset,
    Live,
    Read(usize),
    Reattach,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => "[a-zé🦀]{0,6}".prop_map(Step::Text),
        1 => Just(Step::Reset),
        1 => Just(Step::Live),
        3 => (1_usize..4).prop_map(Step::Read),
        2 => Just(Step::Reattach),
    ]
}

proptest! {
    #[test]
    fn a_watcher_that_comes_and_goes_misses_and_doubles_nothing(steps in prop::collection::vec(step(), 0..60)) {
        let live = live();
        let mut sequence = 2;
        let mut client = Client::default();
        let mut watch = live.watch(0, 0);
        for step in steps {
            match step {
                Step::Text(text) => live.push_text(&text),
                Step::Reset => {
                    sequence += 1;
                    live.publish(vec![event(sequence, EventKind::TextReset { reason: ResetReason::Retry })]);
                }
                Step::Live => live.push(queued(1)),
                Step::Read(most) => take_ready(&mut watch, &mut client, most),
                Step::Reattach => watch = live.watch(client.sequence, client.text.len() as u64),
            }
        }
        watch = live.watch(client.sequence, client.text.len() as u64);
        take_ready(&mut watch, &mut client, usize::MAX);
        prop_assert_eq!(&client.text, &live.text());
        prop_assert_eq!(client.durable, (1..=sequence).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn text_that_is_there_comes_in_one_piece_and_an_end_ends_the_stream() {
    let live = live();
    for _ in 0..1000 {
        live.push_text("tok ");
    }
    let mut watch = live.watch(2, 0);
    let Some(Ok(Told::Text { text, .. })) = watch.next().await else { panic!("no text") };
    assert_eq!(text.len(), 4000);
    live.detach("gone");
    assert_eq!(watch.next().await, Some(Err(Detached("gone".to_owned()))));
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_piece_never_exceeds_its_bound_nor_splits_a_character() {
    let live = live();
    let text = "é🦀x".repeat(PIECE_BYTES / 4);
    live.push_text(&text);
    let mut watch = live.watch(0, 0);
    let mut client = Client::default();
    take_ready(&mut watch, &mut client, usize::MAX);
    assert_eq!(client.text, text);
}

#[test]
fn a_turn_s_place_in_its_line_is_told_after_its_acceptance() {
    let live = LiveTurn::new(TurnId(Uuid::nil()), ConversationId(Uuid::nil()));
    live.push(queued(2));
    live.push(queued(1));
    live.publish(vec![event(1, EventKind::Accepted { request_id: RequestId(Uuid::nil()) }), started(2)]);
    let mut watch = live.watch(0, 0);
    let mut context = Context::from_waker(Waker::noop());
    let mut told = Vec::new();
    while let Poll::Ready(Some(Ok(item))) = Pin::new(&mut watch).poll_next(&mut context) {
        told.push(item);
    }
    let Told::Live { sequence, event, .. } = &told[1] else { panic!("{told:?}") };
    assert_eq!((told.len(), *sequence, event), (3, 1, &queued(1)));
}

#[tokio::test]
async fn a_watcher_that_begins_at_or_behind_the_end_ends_at_once() {
    let live = live();
    live.push_text("abc");
    live.finish(Arc::new(turn()), event(3, EventKind::Completed));
    for after in [3, 8] {
        let told = tokio::time::timeout(Duration::from_secs(5), live.watch(after, 3).next()).await;
        assert_eq!(told.expect("it ends"), None, "after {after}");
    }
}

#[test]
fn only_the_latest_place_in_the_line_is_kept_and_gone_watchers_leave_nothing() {
    let live = live();
    let mut context = Context::from_waker(Waker::noop());
    for position in (0..1000).rev() {
        live.push(queued(position));
        let mut watch = live.watch(2, 0);
        assert!(Pin::new(&mut watch).poll_next(&mut context).is_ready());
        assert!(Pin::new(&mut watch).poll_next(&mut context).is_pending());
    }
    let state = live.state();
    assert_eq!((state.log.len(), state.wakers.len()), (2, 1));
}

fn queued(position: u32) -> LiveEvent {
    LiveEvent::Queued(Place { position, ahead: 0, waits_for: WaitsFor::Conversation })
}

fn turn() -> Turn {
    let nil = Uuid::nil();
    Turn {
        id: TurnId(nil),
        conversation_id: ConversationId(nil),
        request_id: RequestId(nil),
        payload_hash: String::new(),
        asked: None,
        prompt: String::new(),
        state: TurnState::Completed { text: "abc".to_owned(), data_json: None },
        attempt: 1,
        epoch: 1,
        server_id: ServerId(nil),
        incarnation: 1,
        target_instance: None,
        instance_id: None,
        timeout_micros: 1,
        in_context: true,
        claude: ClaudeRefs::default(),
        usage: Usage::default(),
        cost_usd: 0.0,
        first_sequence: 1,
        last_sequence: 3,
        create_time: Timestamp(0),
        start_time: None,
        first_token_time: None,
        end_time: None,
    }
}
