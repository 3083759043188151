//! A turn as its watchers see it: its events, and its text while it grows.
//!
//! There is no queue per watcher. Each holds a place in the log and in the text and takes, when it is polled, all there
//! is: a fast reader gets every token as it comes, a slow one gets larger pieces, and a stalled one costs nothing.
//! It must not know: gRPC, the store.

mod ending;
mod place;
mod watch;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::Waker,
    time::{Duration, SystemTime},
};

use claude_comms_model::{ConversationId, Event, EventKind, Timestamp, Turn, TurnId};
use tokio::sync::watch as channel;

pub(crate) use self::ending::{Wanted, wanted};
pub use self::{
    ending::Ending,
    place::{Place, WaitsFor},
    watch::TurnWatch,
};

/// What is shown but not stored.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEvent {
    /// It waits; where, and for what.
    Queued(Place),
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
        /// When, where that is known to the second.
        until: Option<SystemTime>,
    },
    /// The backend has summed up the conversation.
    ContextCompacted {
        /// Why.
        trigger: String,
        /// Tokens before.
        tokens_before: u64,
        /// Tokens after.
        tokens_after: u64,
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

/// A turn's place in its line: only the latest is kept, and shown at its place in the log.
#[derive(Debug, Clone, Copy)]
struct Queued {
    version: u32,
    place: Place,
    time: Timestamp,
    at: usize,
}

#[derive(Debug)]
struct State {
    log: Vec<Placed>,
    queued: Option<Queued>,
    text: String,
    resets: u32,
    sequence: u64,
    end: End,
    /// One place a watcher; those of watchers that are gone are used again.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl State {
    fn place(&mut self, entry: Entry) {
        self.log.push(Placed { entry, resets: self.resets, text_at: self.text.len() });
    }

    /// Sees to it that the next change wakes `waker`; `place` is what the last call returned.
    fn register(&mut self, place: Option<usize>, waker: &Waker) -> usize {
        let place = place.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        });
        self.wakers[place] = Some(waker.clone());
        place
    }

    fn unregister(&mut self, place: usize) {
        self.wakers[place] = None;
        self.free.push(place);
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
    endings: channel::Sender<Option<Wanted>>,
    ended: channel::Sender<bool>,
    /// Whether nobody here can end it any more.
    over: channel::Sender<bool>,
}

impl LiveTurn {
    /// A turn about which nothing is known yet.
    pub fn new(id: TurnId, conversation_id: ConversationId) -> Arc<Self> {
        Arc::new(Self {
            id,
            conversation_id,
            state: Mutex::new(State {
                log: Vec::new(),
                queued: None,
                text: String::new(),
                resets: 0,
                sequence: 0,
                end: End::Open,
                wakers: Vec::new(),
                free: Vec::new(),
            }),
            endings: channel::Sender::new(None),
            ended: channel::Sender::new(false),
            over: channel::Sender::new(false),
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
            state.sequence = event.sequence;
            let reset = matches!(event.kind, EventKind::TextReset { .. });
            state.place(Entry::Durable(event));
            if reset {
                state.resets += 1;
                state.text.clear();
            }
        }
        wake(state);
    }

    /// Adds a live event. A place in the line replaces the one before it, and is told after the turn's acceptance.
    pub fn push(&self, event: LiveEvent) {
        let mut state = self.state();
        match event {
            LiveEvent::Queued(place) => {
                let version = state.queued.map_or(1, |queued| queued.version + 1);
                let at = state.log.len().max(1);
                state.queued = Some(Queued { version, place, time: now(), at });
            }
            event => {
                let sequence = state.sequence;
                state.place(Entry::Live(sequence, now(), event));
            }
        }
        wake(state);
    }

    /// Adds text.
    pub fn push_text(&self, text: &str) {
        let mut state = self.state();
        state.text.push_str(text);
        wake(state);
    }

    /// Whether it was accepted: the store has it.
    pub fn is_accepted(&self) -> bool {
        self.state().sequence > 0
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
        self.over.send_replace(true);
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

    /// Sends the watchers away for good: its task is done with it.
    pub fn leave(&self, why: impl Into<String>) {
        self.detach(why);
        self.over.send_replace(true);
    }

    /// As [`Self::wait`], also for an end that comes after the watchers were sent away. Fails and is dropped as that.
    pub async fn wait_until_over(&self) -> Result<Arc<Turn>, Detached> {
        let mut over = self.over.subscribe();
        // The sender lives as long as `self`.
        let _ = over.wait_for(|over| *over).await;
        self.wait().await
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

    /// Whether nothing more will be told.
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
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
        TurnWatch::new(Arc::clone(self), next, resets, offset, sequence)
    }

    /// As [`LiveTurn::watch`], for who watches the whole conversation and has seen its events up to `after_sequence`;
    /// `text_offset` is of the turn that ran then. `None` when the turn had ended by then.
    pub fn watch_in_conversation(
        self: &Arc<Self>,
        after_sequence: u64,
        text_offset: u64,
    ) -> Option<TurnWatch> {
        let (mut ran, mut ended) = (false, false);
        for placed in &self.state().log {
            if let Entry::Durable(event) = &placed.entry
                && event.sequence <= after_sequence
            {
                ran |= matches!(event.kind, EventKind::Started { .. });
                ended |= event.kind.is_terminal();
            }
        }
        (!ended).then(|| self.watch(after_sequence, if ran { text_offset } else { 0 }))
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
    // The common case of one watcher needs no allocation.
    let first = state.wakers.first_mut().and_then(Option::take);
    let others: Vec<Waker> = state.wakers.iter_mut().filter_map(Option::take).collect();
    drop(state);
    for waker in first.into_iter().chain(others) {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
