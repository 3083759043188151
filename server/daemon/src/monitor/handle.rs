//! Where what happens is put down, and where watchers begin. Putting down never waits for anything but a short lock.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use claude_comms_model::{InstanceExit, InstanceId, InstanceState, LogEvent, LogKind, NewLogEvent, Turn};
use claude_comms_store::Store;
use claude_comms_supervisor::StderrFeed;
use tokio::sync::Notify;

use super::{
    Board,
    log::{Closed, Log},
    watch::InstanceWatch,
};
use crate::{health::Finding, live::LiveTurn};

/// Events that may wait for the store. What comes on top is dropped and counted.
const PENDING: usize = 65_536;

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub events: Vec<NewLogEvent>,
    pub forgotten: Vec<InstanceId>,
}

#[derive(Debug, Default)]
struct Inner {
    logs: Mutex<HashMap<InstanceId, Arc<Log>>>,
    pending: Mutex<Pending>,
    wake: Notify,
    dropped: AtomicU64,
    board: Board,
}

/// The handle; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Inner>);

impl Monitor {
    fn logs(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Log>>> {
        self.0.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, id: InstanceId) -> Arc<Log> {
        Arc::clone(self.logs().entry(id).or_insert_with(|| Arc::new(Log::new(id, 0))))
    }

    /// The pool as its watchers see it.
    pub(crate) fn board(&self) -> &Board {
        &self.0.board
    }

    /// Takes up the log of an instance of an earlier run.
    pub(crate) fn restore(&self, id: InstanceId, last: u64) {
        self.logs().insert(id, Arc::new(Log::new(id, last)));
    }

    /// The number of the newest durable event of an instance.
    pub(crate) fn last(&self, id: InstanceId) -> u64 {
        self.logs().get(&id).map_or(0, |log| log.last())
    }

    /// Nothing more will be told of instances: they stopped in an earlier run, or their last event was dropped.
    pub(crate) fn no_more(&self, ids: &[InstanceId]) {
        for id in ids {
            let log = self.logs().get(id).cloned();
            if let Some(log) = log {
                log.close(Closed::Gone);
            }
        }
    }

    fn put(&self, instance_id: InstanceId, kind: LogKind) {
        let event = NewLogEvent { instance_id, time: SystemTime::now().into(), kind };
        let mut pending = self.pending();
        if pending.events.len() >= PENDING {
            drop(pending);
            self.dropped(1);
            if event.kind.is_last() {
                self.no_more(&[instance_id]);
            }
            return;
        }
        pending.events.push(event);
        drop(pending);
        self.0.wake.notify_one();
    }

    /// An instance does something else.
    pub(crate) fn state_changed(
        &self,
        id: InstanceId,
        state: InstanceState,
        previous: Option<InstanceState>,
    ) {
        self.log(id);
        self.put(id, LogKind::StateChanged { state, previous });
    }

    /// An instance has a process.
    pub(crate) fn process_started(
        &self,
        id: InstanceId,
        process_id: u32,
        generation: u32,
        stderr: StderrFeed,
    ) {
        self.log(id).process_started(process_id, generation, stderr);
        self.put(id, LogKind::ProcessStarted { process_id, generation });
    }

    /// A process is gone. May be told more than once.
    pub(crate) fn process_exited(&self, id: InstanceId, process_id: u32, exit: &InstanceExit) {
        let log = self.logs().get(&id).cloned();
        if log.is_some_and(|log| log.process_exited(process_id)) {
            self.put(id, LogKind::ProcessExited(exit.clone()));
        }
    }

    /// An instance's process was checked.
    pub(crate) fn checked(&self, id: InstanceId, finding: Finding) {
        let log = self.logs().get(&id).cloned();
        if let Some(log) = log {
            log.checked(finding);
        }
    }

    /// A turn's prompt goes to an instance; it is durable that it runs there.
    pub(crate) fn turn_started(&self, id: InstanceId, live: &Arc<LiveTurn>, attempt: u32) {
        self.log(id).turn_started(live);
        let (turn_id, conversation_id) = (live.id, live.conversation_id);
        self.put(id, LogKind::TurnStarted { turn_id, conversation_id, attempt });
    }

    /// A turn has its terminal record and its watchers know it.
    pub(crate) fn turn_ended(&self, turn: &Turn) {
        let Some(kind) = LogKind::of_ended(turn) else { return };
        let Some(id) = turn.instance_id else { return };
        let log = self.logs().get(&id).cloned();
        if let Some(log) = log {
            log.turn_ended();
            self.put(id, kind);
        }
    }

    /// An instance is forgotten, and its log with it.
    pub(crate) fn forget(&self, id: InstanceId) {
        let Some(log) = self.logs().remove(&id) else { return };
        log.close(Closed::Gone);
        self.pending().forgotten.push(id);
        self.0.wake.notify_one();
    }

    /// Watches an instance: what is durable after a sequence, then what comes.
    pub(crate) fn watch(
        &self,
        id: InstanceId,
        state: InstanceState,
        after: Option<u64>,
        store: Arc<dyn Store>,
    ) -> InstanceWatch {
        // One that was forgotten in this very moment tells nothing more. A stopped one closes with its last event.
        let log = self.logs().get(&id).cloned().unwrap_or_else(|| {
            let gone = Log::new(id, 0);
            gone.close(Closed::Gone);
            Arc::new(gone)
        });
        InstanceWatch::new(log, state, after, store)
    }

    /// Events that were dropped so far.
    pub(super) fn dropped_events(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self, events: usize) {
        self.0.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// What waits for the store, at most so many events.
    pub(super) fn take(&self, limit: usize) -> Pending {
        let mut pending = self.pending();
        if pending.events.len() <= limit {
            return std::mem::take(&mut *pending);
        }
        Pending { events: pending.events.drain(..limit).collect(), forgotten: Vec::new() }
    }

    /// Resolves when something was put down since the last time.
    pub(super) async fn changed(&self) {
        self.0.wake.notified().await;
    }

    /// Tells what is durable.
    pub(super) fn tell(&self, events: Vec<LogEvent>) {
        for event in events {
            let log = self.logs().get(&event.instance_id).cloned();
            if let Some(log) = log {
                log.tell(event);
            }
        }
    }

    /// Sends the watchers away.
    pub(super) fn end(&self) {
        let logs: Vec<_> = self.logs().values().cloned().collect();
        logs.iter().for_each(|log| log.close(Closed::Ending));
        self.0.board.close();
    }
}
