//! One watcher's place in an instance: a hand-written stream, so that it holds no task and no queue.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use claude_comms_model::{InstanceId, InstanceState, LogEvent, LogKind, TurnId};
use claude_comms_store::{Store, StoreError};
use claude_comms_supervisor::{StderrPiece, StderrReader};
use futures_core::Stream;

use super::log::{After, Closed, Log};
use crate::{
    health::Finding,
    live::{Told, TurnWatch},
};

/// Events read from the store at once. Each of many watchers may hold so many.
const PAGE: usize = 64;

/// One thing a watcher is told.
#[derive(Debug)]
pub(crate) enum Seen {
    /// What it does at the moment, for who begins now.
    Now(InstanceState),
    /// A durable event.
    Durable(LogEvent),
    /// Something in the turn it runs.
    Turn(TurnId, Told),
    /// What one of its processes wrote to stderr, and which.
    Stderr(u32, StderrPiece),
    /// How its process was when it was last checked.
    Health(Finding),
}

/// Why a watch ended before its instance did.
#[derive(Debug)]
pub(crate) enum WatchEnd {
    /// The server ends.
    Ending,
    /// The log could not be read.
    Store(StoreError),
}

type Reading = Pin<Box<dyn Future<Output = Result<Vec<LogEvent>, StoreError>> + Send>>;

/// What one watcher has not seen yet.
pub(crate) struct InstanceWatch {
    log: Arc<Log>,
    store: Arc<dyn Store>,
    now: Option<InstanceState>,
    /// The last durable event that was told.
    told: u64,
    /// The last one that was fetched.
    fetched: u64,
    page: VecDeque<LogEvent>,
    reading: Option<Reading>,
    turn: Option<(TurnId, TurnWatch)>,
    stderr: Option<(u32, StderrReader)>,
    /// The check that was told last.
    health: u64,
    /// Its place among the log's wakers.
    place: Option<usize>,
    done: bool,
}

impl InstanceWatch {
    pub(super) fn new(
        log: Arc<Log>,
        state: InstanceState,
        after: Option<u64>,
        store: Arc<dyn Store>,
    ) -> Self {
        let opening = log.open(after);
        let from_now = after.is_none();
        // Who begins now has seen nothing of the turn and misses nothing of what comes; who comes back gets the turn again.
        let place = if from_now { u64::MAX } else { 0 };
        let turn = opening.turn.map(|live| (live.id, live.watch(place, place)));
        let stderr = opening
            .stderr
            .map(|(generation, feed)| (generation, if from_now { feed.read_new() } else { feed.read() }));
        Self {
            log,
            store,
            now: from_now.then_some(state),
            told: opening.after,
            fetched: opening.after,
            page: VecDeque::new(),
            reading: None,
            turn,
            stderr,
            health: 0,
            place: None,
            done: false,
        }
    }

    /// The instance.
    pub(crate) fn instance_id(&self) -> InstanceId {
        self.log.id
    }

    /// The last durable event that was told.
    pub(crate) fn sequence(&self) -> u64 {
        self.told
    }

    /// Sees to it that the next durable event is at hand. `Ready(None)`: nothing more will come.
    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(), WatchEnd>>> {
        loop {
            if !self.page.is_empty() {
                return Poll::Ready(Some(Ok(())));
            }
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(context));
                self.reading = None;
                match read {
                    // Its log was removed meanwhile.
                    Ok(events) if events.is_empty() => return Poll::Ready(None),
                    Ok(events) => self.fetch(events),
                    Err(error) => return Poll::Ready(Some(Err(WatchEnd::Store(error)))),
                }
                continue;
            }
            match self.log.after(self.fetched, &mut self.place, context) {
                After::Events(events) => self.fetch(events),
                After::Older => {
                    let (store, id, after) = (Arc::clone(&self.store), self.log.id, self.fetched);
                    self.reading = Some(Box::pin(async move { store.instance_log(id, after, PAGE).await }));
                }
                After::Nothing => return Poll::Pending,
                After::Closed(Closed::Gone) => return Poll::Ready(None),
                After::Closed(Closed::Ending) => return Poll::Ready(Some(Err(WatchEnd::Ending))),
            }
        }
    }

    fn fetch(&mut self, events: Vec<LogEvent>) {
        self.fetched = events.last().map_or(self.fetched, |event| event.sequence);
        self.page = events.into();
    }

    /// What the running turn has to say; `Ready(None)` when that is over.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Option<Seen>> {
        let Some((id, watch)) = &mut self.turn else { return Poll::Ready(None) };
        let id = *id;
        match ready!(Pin::new(watch).poll_next(context)) {
            Some(Ok(told)) => Poll::Ready(Some(Seen::Turn(id, told))),
            Some(Err(_)) | None => {
                self.turn = None;
                Poll::Ready(None)
            }
        }
    }

    fn poll_stderr(&mut self, context: &mut Context<'_>) -> Poll<Option<Seen>> {
        let Some((generation, reader)) = &mut self.stderr else { return Poll::Ready(None) };
        let generation = *generation;
        match ready!(reader.poll_next(context)) {
            Some(piece) => Poll::Ready(Some(Seen::Stderr(generation, piece))),
            None => {
                self.stderr = None;
                Poll::Ready(None)
            }
        }
    }

    /// What must be told before the next durable event: the rest of the turn before its end, of stderr before the exit.
    /// Both are complete by then; what is not is no reason to wait.
    fn poll_before(&mut self, context: &mut Context<'_>) -> Option<Seen> {
        let before = match self.page.front().map(|event| &event.kind) {
            Some(LogKind::TurnEnded { turn_id, .. })
                if self.turn.as_ref().is_some_and(|(id, _)| id == turn_id) =>
            {
                self.poll_turn(context)
            }
            Some(LogKind::ProcessExited(_)) => self.poll_stderr(context),
            _ => Poll::Ready(None),
        };
        match before {
            Poll::Ready(seen) => seen,
            Poll::Pending => None,
        }
    }

    fn tell(&mut self) -> Option<Seen> {
        let event = self.page.pop_front()?;
        if self.page.is_empty() {
            // A thousand watchers that wait hold no memory for it.
            self.page = VecDeque::new();
        }
        self.told = event.sequence;
        match &event.kind {
            LogKind::TurnStarted { turn_id, .. }
                if self.turn.as_ref().is_none_or(|(id, _)| id != turn_id) =>
            {
                self.turn = self.log.turn(*turn_id).map(|live| (*turn_id, live.watch(0, 0)));
            }
            LogKind::ProcessStarted { generation, .. } => {
                self.stderr = self.log.stderr(*generation).map(|feed| (*generation, feed.read()));
            }
            kind => self.done = kind.is_last(),
        }
        Some(Seen::Durable(event))
    }
}

impl Stream for InstanceWatch {
    type Item = Result<Seen, WatchEnd>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(state) = this.now.take() {
            return Poll::Ready(Some(Ok(Seen::Now(state))));
        }
        let ended = match this.poll_page(context) {
            Poll::Ready(Some(Ok(()))) => {
                if let Some(seen) = this.poll_before(context) {
                    return Poll::Ready(Some(Ok(seen)));
                }
                return Poll::Ready(this.tell().map(Ok));
            }
            Poll::Ready(Some(Err(end))) => Some(Some(Err(end))),
            Poll::Ready(None) => Some(None),
            Poll::Pending => None,
        };
        if let Poll::Ready(Some(seen)) = this.poll_turn(context) {
            return Poll::Ready(Some(Ok(seen)));
        }
        if let Poll::Ready(Some(seen)) = this.poll_stderr(context) {
            return Poll::Ready(Some(Ok(seen)));
        }
        if let Some(finding) = this.log.health(&mut this.health) {
            return Poll::Ready(Some(Ok(Seen::Health(finding))));
        }
        match ended {
            Some(end) => {
                this.done = true;
                Poll::Ready(end)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for InstanceWatch {
    fn drop(&mut self) {
        self.log.leave(self.place);
    }
}

impl std::fmt::Debug for InstanceWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceWatch")
            .field("log", &self.log.id)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
