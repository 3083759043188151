//! One instance as its watchers see it: its newest durable events, its turns and its processes' stderr while they last.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use claude_comms_model::{InstanceId, LogEvent, LogKind, TurnId};
use claude_comms_supervisor::StderrFeed;

use crate::{health::Finding, live::LiveTurn};

/// Durable events in memory; older ones are read from the store.
const RECENT: usize = 64;
/// Most events that a watcher takes at once.
const PIECE: usize = 16;
/// Turns and processes that are kept for a watcher who comes to them a little late.
const TURNS: usize = 4;
const PROCESSES: usize = 2;

#[derive(Debug)]
struct SeenTurn {
    live: Arc<LiveTurn>,
    /// The number of its start, once that is durable.
    started: Option<u64>,
}

#[derive(Debug)]
struct SeenProcess {
    id: u32,
    generation: u32,
    stderr: StderrFeed,
    started: Option<u64>,
    gone: bool,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The instance has ended or is forgotten.
    Gone,
    /// The server ends.
    Ending,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<LogEvent>,
    last: u64,
    turns: VecDeque<SeenTurn>,
    processes: VecDeque<SeenProcess>,
    /// How its process was when it was last checked, and how often it was.
    health: Option<(u64, Finding)>,
    closed: Option<Closed>,
    watchers: usize,
    /// One place a watcher; those of watchers that are gone are used again.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl State {
    /// Lets go of what no watcher can come to any more.
    fn trim(&mut self) {
        if self.watchers == 0 {
            self.turns.retain(|turn| !turn.live.is_over());
            self.processes.retain(|process| !process.gone);
        }
        while self.turns.len() > TURNS {
            self.turns.pop_front();
        }
        while self.processes.len() > PROCESSES {
            self.processes.pop_front();
        }
    }
}

/// What comes after a place in the log.
pub(super) enum After {
    /// These.
    Events(Vec<LogEvent>),
    /// What is only in the store.
    Older,
    /// Nothing yet; the waker is registered.
    Nothing,
    /// Nothing ever.
    Closed(Closed),
}

/// Where a watcher begins.
pub(super) struct Opening {
    pub after: u64,
    pub turn: Option<Arc<LiveTurn>>,
    pub stderr: Option<(u32, StderrFeed)>,
}

/// An instance's log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: InstanceId,
    state: Mutex<State>,
}

impl Log {
    pub(super) fn new(id: InstanceId, last: u64) -> Self {
        Self { id, state: Mutex::new(State { last, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self) -> u64 {
        self.state().last
    }

    pub(super) fn turn_started(&self, live: &Arc<LiveTurn>) {
        let mut state = self.state();
        if state.turns.back().is_none_or(|turn| turn.live.id != live.id) {
            state.turns.push_back(SeenTurn { live: Arc::clone(live), started: None });
        }
        state.trim();
    }

    pub(super) fn turn_ended(&self) {
        self.state().trim();
    }

    pub(super) fn process_started(&self, id: u32, generation: u32, stderr: StderrFeed) {
        let mut state = self.state();
        state.processes.push_back(SeenProcess { id, generation, stderr, started: None, gone: false });
        state.trim();
    }

    /// Whether that process's end was not known yet. Ends are learnt in several ways.
    pub(super) fn process_exited(&self, id: u32) -> bool {
        let mut state = self.state();
        let known = state.processes.iter_mut().rev().find(|process| process.id == id && !process.gone);
        let first = known.map(|process| process.gone = true).is_some();
        state.trim();
        first
    }

    /// Tells a durable event.
    pub(super) fn tell(&self, event: LogEvent) {
        let mut state = self.state();
        let sequence = event.sequence;
        state.last = sequence;
        match &event.kind {
            LogKind::TurnStarted { turn_id, .. } => {
                if let Some(turn) = state.turns.iter_mut().find(|turn| turn.live.id == *turn_id) {
                    turn.started.get_or_insert(sequence);
                }
            }
            LogKind::ProcessStarted { generation, .. } => {
                if let Some(process) = state.processes.iter_mut().find(|p| p.generation == *generation) {
                    process.started.get_or_insert(sequence);
                }
            }
            kind if kind.is_last() => state.closed = Some(Closed::Gone),
            _ => {}
        }
        state.recent.push_back(event);
        if state.recent.len() > RECENT {
            state.recent.pop_front();
        }
        if state.closed.is_some() {
            // Whoever asks for a stopped instance reads the store.
            state.recent.clear();
        }
        wake(state);
    }

    /// Tells how its process is.
    pub(super) fn checked(&self, finding: Finding) {
        let mut state = self.state();
        let count = state.health.as_ref().map_or(0, |(count, _)| *count) + 1;
        state.health = Some((count, finding));
        wake(state);
    }

    /// How its process is, if that was checked again.
    pub(super) fn health(&self, seen: &mut u64) -> Option<Finding> {
        let state = self.state();
        let (count, finding) = state.health.as_ref().filter(|(count, _)| count != seen)?;
        *seen = *count;
        Some(finding.clone())
    }

    /// Nothing more comes.
    pub(super) fn close(&self, why: Closed) {
        let mut state = self.state();
        state.closed.get_or_insert(why);
        wake(state);
    }

    /// A watcher comes: behind a sequence, or from now on.
    pub(super) fn open(&self, after: Option<u64>) -> Opening {
        let mut state = self.state();
        state.watchers += 1;
        let begin = after.unwrap_or(state.last);
        let told = |started: Option<u64>| started.is_some_and(|started| started <= begin);
        let turn = state.turns.back().filter(|turn| told(turn.started) && !turn.live.is_over());
        let process = state.processes.back().filter(|process| told(process.started) && !process.gone);
        Opening {
            after: begin,
            turn: turn.map(|turn| Arc::clone(&turn.live)),
            stderr: process.map(|process| (process.generation, process.stderr.clone())),
        }
    }

    /// A watcher goes.
    pub(super) fn leave(&self, place: Option<usize>) {
        let mut state = self.state();
        state.watchers -= 1;
        if let Some(place) = place {
            state.wakers[place] = None;
            state.free.push(place);
        }
        state.trim();
    }

    /// What comes after a place, or a wake when something does.
    pub(super) fn after(&self, after: u64, place: &mut Option<usize>, context: &Context<'_>) -> After {
        let mut state = self.state();
        if after < state.last {
            return match state.recent.front() {
                Some(first) if first.sequence <= after + 1 => {
                    let skip = usize::try_from(after + 1 - first.sequence).unwrap_or(usize::MAX);
                    After::Events(state.recent.iter().skip(skip).take(PIECE).cloned().collect())
                }
                _ => After::Older,
            };
        }
        if let Some(closed) = state.closed {
            return After::Closed(closed);
        }
        let at = place.or_else(|| state.free.pop()).unwrap_or_else(|| {
            state.wakers.push(None);
            state.wakers.len() - 1
        });
        state.wakers[at] = Some(context.waker().clone());
        *place = Some(at);
        After::Nothing
    }

    pub(super) fn turn(&self, id: TurnId) -> Option<Arc<LiveTurn>> {
        self.state().turns.iter().find(|turn| turn.live.id == id).map(|turn| Arc::clone(&turn.live))
    }

    pub(super) fn stderr(&self, generation: u32) -> Option<StderrFeed> {
        let state = self.state();
        state.processes.iter().find(|process| process.generation == generation).map(|p| p.stderr.clone())
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let wakers: Vec<Waker> = state.wakers.iter_mut().filter_map(Option::take).collect();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}
