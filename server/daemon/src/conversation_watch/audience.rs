//! Those who watch one conversation, and how they hear of its new turns.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use claude_comms_model::{ConversationId, TurnId};

use crate::{hub::EventHub, live::LiveTurn};

/// What the watchers of one conversation share: its turns that have not ended.
#[derive(Debug)]
pub(crate) struct Audience {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many turns were announced so far.
    announced: u64,
    /// Those of them that have not ended, each with its number.
    turns: Vec<(u64, Arc<LiveTurn>)>,
    seats: usize,
    closed: bool,
    /// One place a seat; those of seats that were left are used again.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Audience {
    pub(crate) fn new(closed: bool) -> Self {
        let (turns, wakers, free) = (Vec::new(), Vec::new(), Vec::new());
        Self { state: Mutex::new(State { announced: 0, turns, seats: 0, closed, wakers, free }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds an audience")
    }

    /// Tells of a turn, once.
    pub(crate) fn announce(&self, turn: &Arc<LiveTurn>) {
        let mut state = self.state();
        if state.turns.iter().any(|(_, known)| known.id == turn.id) {
            return;
        }
        state.announced += 1;
        let number = state.announced;
        state.turns.push((number, Arc::clone(turn)));
        wake(state);
    }

    /// Holds a turn no longer. Who watches it already does so to its end.
    pub(crate) fn forget(&self, id: TurnId) {
        self.state().turns.retain(|(_, turn)| turn.id != id);
    }

    /// Sends all away.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        wake(state);
    }

    /// Takes back a seat; returns how many are left.
    pub(crate) fn leave(&self, waker: Option<usize>) -> usize {
        let mut state = self.state();
        if let Some(place) = waker {
            state.wakers[place] = None;
            state.free.push(place);
        }
        state.seats -= 1;
        state.seats
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let wakers: Vec<Waker> = state.wakers.iter_mut().filter_map(Option::take).collect();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

/// Turns that are new to a seat.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub turns: Vec<Arc<LiveTurn>>,
    /// Others came and ended before anybody looked: the store has them.
    pub missed: bool,
}

/// One watcher's place in an audience.
#[derive(Debug)]
pub(crate) struct Seat {
    audience: Arc<Audience>,
    conversation: ConversationId,
    hub: EventHub,
    seen: u64,
    waker: Option<usize>,
}

impl Seat {
    pub(crate) fn new(audience: Arc<Audience>, conversation: ConversationId, hub: EventHub) -> Self {
        audience.state().seats += 1;
        Self { audience, conversation, hub, seen: 0, waker: None }
    }

    /// The turns that were announced since the last look; `None` once the server ends.
    pub(super) fn poll_arrivals(&mut self, context: &Context<'_>) -> Poll<Option<Arrivals>> {
        let mut state = self.audience.state();
        let new = state.announced - self.seen;
        if new > 0 {
            let fresh = state.turns.iter().filter(|(number, _)| *number > self.seen);
            let turns: Vec<_> = fresh.map(|(_, turn)| Arc::clone(turn)).collect();
            self.seen = state.announced;
            let missed = (turns.len() as u64) < new;
            return Poll::Ready(Some(Arrivals { turns, missed }));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        let place = self.waker.or_else(|| state.free.pop()).unwrap_or_else(|| {
            state.wakers.push(None);
            state.wakers.len() - 1
        });
        state.wakers[place] = Some(context.waker().clone());
        self.waker = Some(place);
        Poll::Pending
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(self.conversation, &self.audience, self.waker);
    }
}
