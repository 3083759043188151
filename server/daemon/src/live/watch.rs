//! One watcher's place in a turn.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use claude_comms_model::EventKind;
use futures_core::Stream;

use super::{Detached, End, Entry, LiveEvent, LiveTurn, State, Told, floor_char};

/// Most bytes of one piece of text. This much is held for each watcher that stalls: a thousand of them on a long text cost
/// what they must, and who reads gets the next piece at once.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// What one watcher has not seen yet. Ends after the terminal event, or with [`Detached`].
#[derive(Debug)]
pub struct TurnWatch {
    live: Arc<LiveTurn>,
    next: usize,
    resets: u32,
    offset: usize,
    sequence: u64,
    /// The version of the place in the line that was shown last.
    queued: u32,
    /// Its place among the wakers.
    waker: Option<usize>,
    done: bool,
}

impl TurnWatch {
    pub(super) fn new(live: Arc<LiveTurn>, next: usize, resets: u32, offset: usize, sequence: u64) -> Self {
        Self { live, next, resets, offset, sequence, queued: 0, waker: None, done: false }
    }

    fn take(&mut self, state: &State) -> Option<Result<Told, Detached>> {
        if let Some(queued) = &state.queued
            && queued.at == self.next
            && queued.version != self.queued
        {
            self.queued = queued.version;
            let event = LiveEvent::Queued(queued.place);
            return Some(Ok(Told::Live { sequence: self.sequence, time: queued.time, event }));
        }
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
            return self.take_end(&state.end);
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

    /// All was told. A watcher that began behind the terminal event has nothing to wait for.
    fn take_end(&mut self, end: &End) -> Option<Result<Told, Detached>> {
        match end {
            End::Open => None,
            End::Ended(_) => {
                self.done = true;
                None
            }
            End::Detached(why) => {
                self.done = true;
                Some(Err(why.clone()))
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
            return Poll::Ready(Some(told));
        }
        if self.done {
            return Poll::Ready(None);
        }
        self.waker = Some(state.register(self.waker, context.waker()));
        Poll::Pending
    }
}

impl Drop for TurnWatch {
    fn drop(&mut self) {
        if let Some(place) = self.waker {
            self.live.state().unregister(place);
        }
    }
}
