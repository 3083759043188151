//! One watcher's place in a conversation.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use claude_comms_model::{ConversationId, Event, EventKind, Turn, TurnId};
use claude_comms_store::{Store, StoreError};
use futures_core::Stream;

use super::{
    audience::Seat,
    slot::{Parent, Slot},
};
use crate::{
    hub::EventHub,
    live::{LiveTurn, Told},
};

/// Events that are read from the store at once.
const PAGE: usize = 256;

/// From where a conversation is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    /// The last durable event that the watcher has seen.
    pub after_sequence: u64,
    /// Bytes it holds of the text of the turn that ran then.
    pub text_offset: u64,
}

/// Why a watch ended before its watcher left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchEnd {
    /// The server ends.
    #[error("the server is shutting down")]
    Closed,
    /// The events could not be read.
    #[error("the conversation's events could not be read")]
    Store(#[from] StoreError),
}

/// What a watcher is told: where it stands now, of which turn, what.
pub(crate) type ConversationTold = (u64, TurnId, Told);

enum Read {
    /// Events after the last one; whether one was known to be missing.
    Page { events: Vec<Event>, hole: bool },
    /// The record of a turn that ended with this event.
    Record { turn: Option<Box<Turn>>, event: Event },
}

type Reading = Pin<Box<dyn Future<Output = Result<Read, StoreError>> + Send>>;

/// What one watcher has not seen yet. Never ends by itself, but with a [`WatchEnd`].
pub(crate) struct ConversationWatch {
    id: ConversationId,
    store: Arc<dyn Store>,
    hub: EventHub,
    seat: Seat,
    /// Number of the last durable event that was told.
    last: u64,
    text_offset: u64,
    /// The turn whose text began anew under this watch: nothing of it is held from before.
    fresh: Option<TurnId>,
    slots: Vec<Slot>,
    parent: Arc<Parent>,
    /// Where the next look at the slots begins: none waits for ever behind one that always has something.
    turn_to: usize,
    /// Turns that this server let go of: what the store has of them comes from there.
    gone: Vec<TurnId>,
    /// Events of the store that are not told yet.
    backlog: VecDeque<Event>,
    /// The store may have more.
    behind: bool,
    /// A turn was let go of: who waits for it to tell an event must look again.
    left: bool,
    reading: Option<Reading>,
    over: bool,
}

impl ConversationWatch {
    /// Begins a watch.
    pub(crate) fn new(id: ConversationId, past: Past, store: Arc<dyn Store>, hub: &EventHub) -> Self {
        Self {
            id,
            store,
            hub: hub.clone(),
            // Before the first look at the store, so that nothing falls between the two.
            seat: hub.seat(id),
            last: past.after_sequence,
            text_offset: past.text_offset,
            fresh: None,
            slots: Vec::new(),
            parent: Parent::new(),
            turn_to: 0,
            gone: Vec::new(),
            backlog: VecDeque::new(),
            behind: true,
            left: false,
            reading: None,
            over: false,
        }
    }

    fn follow(&mut self, live: &Arc<LiveTurn>) {
        if self.follows(live.id) {
            return;
        }
        if let Some(watch) = live.watch_in_conversation(self.last, self.offset_of(live.id)) {
            self.slots.push(Slot::new(live.id, watch, &self.parent));
        }
    }

    fn follows(&self, id: TurnId) -> bool {
        self.slots.iter().any(|slot| slot.turn == id)
    }

    fn offset_of(&self, id: TurnId) -> u64 {
        if self.fresh == Some(id) { 0 } else { self.text_offset }
    }

    /// Counts a durable event as told.
    fn told(&mut self, event: &Event) {
        self.last = event.sequence;
        if matches!(event.kind, EventKind::Started { .. } | EventKind::TextReset { .. }) {
            self.fresh = Some(event.turn_id);
        }
    }

    /// The next event, where a slot holds it.
    fn take_held(&mut self) -> Option<ConversationTold> {
        let next = self.last + 1;
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.held.as_ref().is_some_and(|(sequence, _)| *sequence == next))?;
        let (turn, (_, told)) = (slot.turn, slot.held.take()?);
        if let Told::Durable { event, .. } = &told {
            self.told(event);
        }
        Some((self.last, turn, told))
    }

    /// The next event, where it is only in the store. What a turn is about to tell itself is waited for.
    fn take_backlog(&mut self) -> Result<Option<ConversationTold>, StoreError> {
        while let Some(event) = self.backlog.pop_front() {
            if event.sequence <= self.last {
                continue;
            }
            if event.sequence > self.last + 1 {
                let (id, missing) = (self.id, self.last + 1);
                return Err(StoreError::Corrupt(format!("event {missing} of conversation {id} is gone")));
            }
            // Hub first: who is not there any more has its terminal record in the store.
            if !self.follows(event.turn_id)
                && !self.gone.contains(&event.turn_id)
                && let Some(live) = self.hub.get(event.turn_id)
            {
                self.follow(&live);
            }
            if self.reading.is_some() || self.follows(event.turn_id) {
                self.backlog.push_front(event);
                return Ok(None);
            }
            if event.kind.is_terminal() {
                self.backlog.push_front(event.clone());
                self.reading = Some(self.read_record(event));
                return Ok(None);
            }
            self.told(&event);
            return Ok(Some((self.last, event.turn_id, Told::Durable { event, turn: None })));
        }
        Ok(None)
    }

    /// What the turns tell. Events that are not the next ones are held.
    fn poll_slots(&mut self) -> Option<ConversationTold> {
        let mut looked = 0;
        while looked < self.slots.len() {
            let place = self.turn_to % self.slots.len();
            let slot = &mut self.slots[place];
            let turn = slot.turn;
            match slot.poll() {
                Poll::Pending => {
                    looked += 1;
                    self.turn_to = place + 1;
                }
                Poll::Ready(None) => {
                    self.slots.swap_remove(place);
                    looked = 0;
                }
                Poll::Ready(Some(Err(_))) => {
                    self.slots.swap_remove(place);
                    self.gone.push(turn);
                    self.left = true;
                    // Its end may be durable though nobody told it.
                    self.behind = true;
                    looked = 0;
                }
                Poll::Ready(Some(Ok(told))) => {
                    if let Told::Durable { event, .. } = &told {
                        if event.sequence <= self.last {
                            continue;
                        }
                        if event.sequence > self.last + 1 {
                            slot.held = Some((event.sequence, told));
                            continue;
                        }
                        let event = event.clone();
                        self.told(&event);
                    }
                    self.turn_to = place + 1;
                    return Some((self.last, turn, told));
                }
            }
        }
        None
    }

    fn read_page(&self, hole: bool) -> Reading {
        let (store, id, after) = (Arc::clone(&self.store), self.id, self.last);
        Box::pin(async move { Ok(Read::Page { events: store.events(id, after, PAGE).await?, hole }) })
    }

    fn read_record(&self, event: Event) -> Reading {
        let store = Arc::clone(&self.store);
        Box::pin(
            async move { Ok(Read::Record { turn: store.turn(event.turn_id).await?.map(Box::new), event }) },
        )
    }

    fn take_read(&mut self, read: Read) -> Result<(), StoreError> {
        match read {
            Read::Page { events, hole } => {
                if hole && events.is_empty() {
                    let (id, last) = (self.id, self.last);
                    let words = format!("the events of conversation {id} after {last} are gone");
                    return Err(StoreError::Corrupt(words));
                }
                self.behind |= events.len() == PAGE;
                self.backlog.extend(events);
            }
            Read::Record { turn, event } => {
                let id = event.turn_id;
                let gone = || StoreError::Corrupt(format!("turn {id} of an event is gone"));
                let (before, offset) = (event.sequence - 1, self.offset_of(id));
                let live = LiveTurn::from_record(*turn.ok_or_else(gone)?, vec![event]);
                self.slots.push(Slot::new(id, live.watch(before, offset), &self.parent));
            }
        }
        Ok(())
    }

    /// What can be told now.
    fn step(&mut self, context: &mut Context<'_>) -> Result<Option<ConversationTold>, WatchEnd> {
        loop {
            if let Some(reading) = &mut self.reading
                && let Poll::Ready(read) = reading.as_mut().poll(context)
            {
                self.reading = None;
                self.take_read(read?)?;
            }
            let mut closed = false;
            match self.seat.poll_arrivals(context) {
                Poll::Ready(Some(arrivals)) => {
                    arrivals.turns.iter().for_each(|live| self.follow(live));
                    self.behind |= arrivals.missed;
                    // The seat wakes who has looked and found nothing.
                    continue;
                }
                Poll::Ready(None) => closed = true,
                Poll::Pending => {}
            }
            if let Some(told) = self.take_held() {
                return Ok(Some(told));
            }
            let idle = self.reading.is_none();
            if let Some(told) = self.take_backlog()? {
                return Ok(Some(told));
            }
            if let Some(told) = self.poll_slots() {
                return Ok(Some(told));
            }
            if self.reading.is_none() && self.backlog.is_empty() {
                let hole = self.slots.iter().any(|slot| slot.held.is_some());
                if hole || self.behind {
                    self.behind = false;
                    self.reading = Some(self.read_page(hole));
                }
            }
            // A read that has just begun must be polled to be woken by it.
            let begun = idle && self.reading.is_some();
            if std::mem::take(&mut self.left) || begun {
                continue;
            }
            if closed && self.reading.is_none() {
                return Err(WatchEnd::Closed);
            }
            return Ok(None);
        }
    }
}

impl Stream for ConversationWatch {
    type Item = Result<ConversationTold, WatchEnd>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.parent.set(context.waker());
        match self.step(context) {
            Ok(Some(told)) => Poll::Ready(Some(Ok(told))),
            Ok(None) => Poll::Pending,
            Err(end) => {
                self.over = true;
                Poll::Ready(Some(Err(end)))
            }
        }
    }
}

impl fmt::Debug for ConversationWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationWatch")
            .field("id", &self.id)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
