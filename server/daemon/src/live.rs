//! A turn as its watchers see it: its events, and its text while it grows.
//!
//! There is no queue per watcher. Each holds a place in the log and in the text and takes, when it is polled, all there
//! is: a fast reader gets every token as it comes, a slow one gets larger pieces, and a stalled one costs nothing.
//! It must not know: gRPC, the store.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use claude_comms_model::{CancelReason, ConversationId, Event, EventKind, Failure, Timestamp, Turn, TurnId};
use futures_core::Stream;
use tokio::sync::watch;

/// Most bytes of one piece of text: a message stays far below what clients can receive.
const PIECE_BYTES: usize = 1 << 20;

/// What is shown but not stored.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEvent {
    /// It waits behind so many turns of its conversation.
    Queued {
        /// How many.
        position: u32,
    },
    /// Claude calls a tool.
    ToolCall {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Its input, JSON.
        input_json: String,
    },
    /// A tool answered.
    ToolResult {
        /// The call's id.
        id: String,
        /// Whether it reported an error.
        is_error: bool,
        /// Its content, JSON.
        content_json: String,
    },
    /// The backend repeats a call to the Messages API.
    ApiRetry {
        /// Which retry.
        attempt: u32,
        /// How many there may be.
        max_attempts: u32,
        /// How long until then.
        delay: Duration,
        /// HTTP status, if there was an answer.
        http_status: Option<u16>,
        /// The backend's word for it.
        error: String,
    },
}

/// One thing a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A durable event; the terminal one comes with the turn's record.
    Durable {
        /// The event.
        event: Event,
        /// The record, with the terminal event.
        turn: Option<Arc<Turn>>,
    },
    /// A live one.
    Live {
        /// The durable event before it.
        sequence: u64,
        /// When.
        time: Timestamp,
        /// What.
        event: LiveEvent,
    },
    /// A piece of the text.
    Text {
        /// The durable event before it.
        sequence: u64,
        /// Its place, bytes.
        offset: u64,
        /// The piece.
        text: String,
    },
}

/// The turn goes on, or waits, without this server: its watchers must come back later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Detached(pub String);

#[derive(Debug)]
enum Entry {
    Durable(Event),
    Live(u64, Timestamp, LiveEvent),
}

/// An entry and where it stands: after how many resets, after how many bytes of text.
#[derive(Debug)]
struct Placed {
    entry: Entry,
    resets: u32,
    text_at: usize,
}

#[derive(Debug, Clone)]
enum End {
    Open,
    Ended(Arc<Turn>),
    Detached(Detached),
}

#[derive(Debug)]
struct State {
    log: Vec<Placed>,
    /// The place in its line, told once the turn is accepted: that is its first event.
    early: Option<(Timestamp, LiveEvent)>,
    text: String,
    resets: u32,
    sequence: u64,
    end: End,
    wakers: Vec<Waker>,
}

impl State {
    fn place(&mut self, entry: Entry) {
        self.log.push(Placed { entry, resets: self.resets, text_at: self.text.len() });
    }
}

/// A turn that can be watched.
#[derive(Debug)]
pub struct LiveTurn {
    /// The turn.
    pub id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    state: Mutex<State>,
    cancel: watch::Sender<Option<Failure<CancelReason>>>,
    ended: watch::Sender<bool>,
}

impl LiveTurn {
    /// A turn about which nothing is known yet.
    pub fn new(id: TurnId, conversation_id: ConversationId) -> Arc<Self> {
        Arc::new(Self {
            id,
            conversation_id,
            state: Mutex::new(State {
                log: Vec::new(),
                early: None,
                text: String::new(),
                resets: 0,
                sequence: 0,
                end: End::Open,
                wakers: Vec::new(),
            }),
            cancel: watch::Sender::new(None),
            ended: watch::Sender::new(false),
        })
    }

    /// A turn as the store has it: events, and the text if it has ended.
    pub fn from_record(turn: Turn, events: Vec<Event>) -> Arc<Self> {
        let live = Self::new(turn.id, turn.conversation_id);
        let (terminal, before): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.kind.is_terminal());
        live.publish(before);
        if let Some(event) = terminal.into_iter().next() {
            live.push_text(turn.shown_text());
            live.finish(Arc::new(turn), event);
        }
        live
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds a live turn")
    }

    /// Adds durable events. They must be on disk.
    pub fn publish(&self, events: Vec<Event>) {
        let mut state = self.state();
        for event in events {
            let sequence = event.sequence;
            state.sequence = sequence;
            let reset = matches!(event.kind, EventKind::TextReset { .. });
            state.place(Entry::Durable(event));
            if let Some((time, early)) = state.early.take() {
                state.place(Entry::Live(sequence, time, early));
            }
            if reset {
                state.resets += 1;
                state.text.clear();
            }
        }
        wake(state);
    }

    /// Adds a live event. Before the first durable one only the latest is kept, and told after that.
    pub fn push(&self, event: LiveEvent) {
        let mut state = self.state();
        match state.sequence {
            0 => state.early = Some((now(), event)),
            sequence => state.place(Entry::Live(sequence, now(), event)),
        }
        wake(state);
    }

    /// Adds text.
    pub fn push_text(&self, text: &str) {
        let mut state = self.state();
        state.text.push_str(text);
        wake(state);
    }

    /// The text since the last reset.
    pub fn text(&self) -> String {
        self.state().text.clone()
    }

    /// Ends the turn for its watchers. Its record must be on disk.
    pub fn finish(&self, turn: Arc<Turn>, event: Event) {
        let mut state = self.state();
        state.sequence = event.sequence;
        state.place(Entry::Durable(event));
        state.end = End::Ended(turn);
        wake(state);
        self.ended.send_replace(true);
    }

    /// Sends the watchers away; the turn itself stays as it is in the store.
    pub fn detach(&self, why: impl Into<String>) {
        let mut state = self.state();
        if matches!(state.end, End::Open) {
            state.end = End::Detached(Detached(why.into()));
        }
        wake(state);
        self.ended.send_replace(true);
    }

    /// Waits for the terminal record.
    ///
    /// # Errors
    /// [`Detached`] when this server lets go of the turn.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn wait(&self) -> Result<Arc<Turn>, Detached> {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended).await;
        match self.state().end.clone() {
            End::Ended(turn) => Ok(turn),
            End::Detached(why) => Err(why),
            End::Open => Err(Detached("the turn was let go".to_owned())),
        }
    }

    /// Asks for the turn's end. The first reason stays.
    pub fn request_cancel(&self, why: Failure<CancelReason>) {
        self.cancel.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(why);
            }
            first
        });
    }

    /// Where requests for the turn's end arrive.
    pub fn cancel_requests(&self) -> watch::Receiver<Option<Failure<CancelReason>>> {
        self.cancel.subscribe()
    }

    /// Watches the turn: events after `after_sequence`, text from `text_offset` on (as far as no reset lies between).
    pub fn watch(self: &Arc<Self>, after_sequence: u64, text_offset: u64) -> TurnWatch {
        let state = self.state();
        let next = state
            .log
            .iter()
            .position(|placed| matches!(&placed.entry, Entry::Durable(e) if e.sequence > after_sequence))
            .unwrap_or(state.log.len());
        let resets = state.log[..next]
            .iter()
            .filter(
                |p| matches!(&p.entry, Entry::Durable(e) if matches!(e.kind, EventKind::TextReset { .. })),
            )
            .count() as u32;
        let offset = if resets == state.resets { floor_char(&state.text, text_offset) } else { 0 };
        let sequence = after_sequence.min(state.sequence);
        drop(state);
        TurnWatch { live: Arc::clone(self), next, resets, offset, sequence, done: false }
    }
}

fn floor_char(text: &str, offset: u64) -> usize {
    let mut offset = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn wake(mut state: MutexGuard<'_, State>) {
    let wakers = std::mem::take(&mut state.wakers);
    drop(state);
    for waker in wakers {
        waker.wake();
    }
}

/// One watcher's place in a turn. Ends after the terminal event, or with [`Detached`].
#[derive(Debug)]
pub struct TurnWatch {
    live: Arc<LiveTurn>,
    next: usize,
    resets: u32,
    offset: usize,
    sequence: u64,
    done: bool,
}

impl TurnWatch {
    fn take(&mut self, state: &State) -> Option<Result<Told, Detached>> {
        let limit = match state.log.get(self.next) {
            // Text that a later reset has voided is not shown any more.
            Some(placed) if placed.resets == state.resets => placed.text_at,
            Some(_) => 0,
            None => state.text.len(),
        };
        if self.resets == state.resets && self.offset < limit {
            return Some(Ok(self.take_text(&state.text[..limit])));
        }
        let Some(placed) = state.log.get(self.next) else {
            return match &state.end {
                End::Detached(why) => Some(Err(why.clone())),
                End::Open | End::Ended(_) => None,
            };
        };
        self.next += 1;
        match &placed.entry {
            Entry::Durable(event) => {
                self.sequence = event.sequence;
                if matches!(event.kind, EventKind::TextReset { .. }) {
                    self.resets += 1;
                    self.offset = 0;
                }
                let turn = match (&state.end, event.kind.is_terminal()) {
                    (End::Ended(turn), true) => Some(Arc::clone(turn)),
                    _ => None,
                };
                self.done = turn.is_some();
                Some(Ok(Told::Durable { event: event.clone(), turn }))
            }
            Entry::Live(sequence, time, event) => {
                Some(Ok(Told::Live { sequence: *sequence, time: *time, event: event.clone() }))
            }
        }
    }

    fn take_text(&mut self, text: &str) -> Told {
        let end = floor_char(text, (self.offset + PIECE_BYTES) as u64);
        let piece = text[self.offset..end].to_owned();
        let told = Told::Text { sequence: self.sequence, offset: self.offset as u64, text: piece };
        self.offset = end;
        told
    }
}

impl Stream for TurnWatch {
    type Item = Result<Told, Detached>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let live = Arc::clone(&self.live);
        let mut state = live.state();
        if let Some(told) = self.take(&state) {
            self.done |= told.is_err();
            return Poll::Ready(Some(told));
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
