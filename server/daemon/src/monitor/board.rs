//! The pool as its watchers see it: the dispatcher's task posts what changed, watchers read from their own place. Nobody
//! asks that task anything.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use claude_comms_model::{InstanceId, InstanceState};
use tokio::sync::watch as channel;

use super::Monitor;
use crate::{
    dispatcher::{InstanceView, ModuleLoad},
    memory::Memory,
};

/// Instances that went and are remembered for watchers who have not heard of it; who is later is told all anew.
const REMOVED: usize = 1024;

#[derive(Debug)]
struct Posted {
    view: Arc<InstanceView>,
    added: u64,
    changed: u64,
}

#[derive(Debug)]
struct Removed {
    id: InstanceId,
    added: u64,
    removed: u64,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// How often an instance changed.
    changes: u64,
    entries: BTreeMap<InstanceId, Posted>,
    removed: VecDeque<Removed>,
    /// Up to which version removals are forgotten.
    forgotten: u64,
    running: usize,
    queued: usize,
    slots: usize,
    wanted_spares: usize,
    spares_off: String,
    /// How memory stands, once somebody looks at it.
    memory: Option<channel::Receiver<Memory>>,
    modules: Arc<Vec<ModuleLoad>>,
}

/// What was put up.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// The version; `u64::MAX` once the server ends.
    version: channel::Sender<u64>,
    merged: AtomicU64,
}

impl Default for Board {
    fn default() -> Self {
        Self { state: Mutex::default(), version: channel::Sender::new(0), merged: AtomicU64::new(0) }
    }
}

/// What a watcher has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Since {
    version: u64,
    changes: u64,
    /// Whether it has seen anything.
    began: bool,
}

/// How many instances do what, and what became of turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub starting: usize,
    pub idle: usize,
    pub busy: usize,
    pub paused: usize,
    pub dormant: usize,
    pub stopping: usize,
    pub slots: usize,
    pub running: usize,
    pub queued: usize,
    pub dropped_events: u64,
    pub merged_changes: u64,
    pub spares: usize,
    pub wanted_spares: usize,
    pub spares_off: String,
    /// Memory of all processes that were looked at, bytes.
    pub memory_bytes: u64,
    pub memory: Memory,
    pub modules: Arc<Vec<ModuleLoad>>,
}

/// What a watcher has not seen.
#[derive(Debug)]
pub(crate) struct Changes {
    pub full: bool,
    pub version: u64,
    pub instances: Vec<Arc<InstanceView>>,
    pub removed: Vec<InstanceId>,
    pub merged: u64,
    pub counts: Counts,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many instances there may be.
    pub(crate) fn set_slots(&self, slots: usize) {
        self.state().slots = slots;
    }

    /// How many spares are wanted, and why there are none.
    pub(crate) fn set_spares(&self, wanted: usize, off: &str) {
        let mut state = self.state();
        if state.wanted_spares != wanted || state.spares_off != off {
            state.wanted_spares = wanted;
            off.clone_into(&mut state.spares_off);
            state.version += 1;
        }
    }

    /// What each pair of modules has.
    pub(crate) fn modules(&self, modules: Vec<ModuleLoad>) {
        let mut state = self.state();
        if *state.modules != modules {
            state.modules = Arc::new(modules);
            state.version += 1;
        }
    }

    /// Where to look how memory stands.
    pub(crate) fn watch_memory(&self, memory: channel::Receiver<Memory>) {
        self.state().memory = Some(memory);
    }

    /// Something else changed that is counted.
    pub(crate) fn stir(&self) {
        self.state().version += 1;
    }

    /// An instance is as it is now, after so many changes.
    pub(crate) fn post(&self, view: InstanceView, changes: u64) {
        let mut state = self.state();
        state.version += 1;
        state.changes += changes;
        let version = state.version;
        let view = Arc::new(view);
        state
            .entries
            .entry(view.record.id)
            .and_modify(|posted| {
                posted.view = Arc::clone(&view);
                posted.changed = version;
            })
            .or_insert(Posted { view, added: version, changed: version });
    }

    /// An instance went, after so many changes.
    pub(crate) fn remove(&self, id: InstanceId, changes: u64) {
        let mut state = self.state();
        state.version += 1;
        state.changes += changes;
        let Some(posted) = state.entries.remove(&id) else { return };
        let removed = state.version;
        state.removed.push_back(Removed { id, added: posted.added, removed });
        if state.removed.len() > REMOVED
            && let Some(oldest) = state.removed.pop_front()
        {
            state.forgotten = oldest.removed;
        }
    }

    /// How much is done and waits.
    pub(crate) fn load(&self, running: usize, queued: usize) {
        let mut state = self.state();
        if (state.running, state.queued) != (running, queued) {
            (state.running, state.queued) = (running, queued);
            state.version += 1;
        }
    }

    /// Wakes the watchers, if there is something new.
    pub(crate) fn show(&self) {
        let version = self.state().version;
        self.version.send_if_modified(|shown| {
            let newer = *shown < version;
            if newer {
                *shown = version;
            }
            newer
        });
    }

    pub(super) fn close(&self) {
        self.version.send_replace(u64::MAX);
    }

    /// Resolves when there is something that was not seen. `false`: the server ends.
    pub(crate) async fn changed(&self, since: &Since) -> bool {
        let mut versions = self.version.subscribe();
        let newer = |version: &u64| *version > since.version || !since.began;
        versions.wait_for(newer).await.is_ok_and(|version| *version != u64::MAX)
    }

    /// What was not seen; the place moves on.
    pub(crate) fn changes(&self, since: &mut Since, monitor: &Monitor) -> Changes {
        let state = self.state();
        let full = !since.began || since.version < state.forgotten;
        let seen = if full { 0 } else { since.version };
        let instances: Vec<_> = state
            .entries
            .values()
            .filter(|posted| posted.changed > seen)
            .map(|posted| Arc::clone(&posted.view))
            .collect();
        let told_before = |removed: &&Removed| removed.removed > seen && removed.added <= seen;
        let removed: Vec<_> = state.removed.iter().filter(told_before).map(|removed| removed.id).collect();
        let told = (instances.len() + removed.len()) as u64;
        let merged = if since.began { (state.changes - since.changes).saturating_sub(told) } else { 0 };
        let mut counts = Counts {
            slots: state.slots,
            running: state.running,
            queued: state.queued,
            wanted_spares: state.wanted_spares,
            spares_off: state.spares_off.clone(),
            ..Counts::default()
        };
        counts.modules = Arc::clone(&state.modules);
        counts.memory = state.memory.as_ref().map_or_else(Memory::default, |memory| *memory.borrow());
        for posted in state.entries.values() {
            counts.memory_bytes += posted.view.memory_bytes();
            counts.spares += usize::from(posted.view.spare && posted.view.state == InstanceState::Idle);
            match posted.view.state {
                InstanceState::Starting => counts.starting += 1,
                InstanceState::Idle => counts.idle += 1,
                InstanceState::Busy => counts.busy += 1,
                InstanceState::Paused => counts.paused += 1,
                InstanceState::Dormant => counts.dormant += 1,
                InstanceState::Stopping => counts.stopping += 1,
                InstanceState::Stopped => {}
            }
        }
        *since = Since { version: state.version, changes: state.changes, began: true };
        drop(state);
        counts.dropped_events = monitor.dropped_events();
        counts.merged_changes = self.merged.fetch_add(merged, Ordering::Relaxed) + merged;
        Changes { full, version: since.version, instances, removed, merged, counts }
    }
}
