//! The set of instances: who has a process, who is free, who must go. Pure bookkeeping, owned by the dispatcher's task;
//! it must not know turns' contents, gRPC or the store.

mod pause;
mod recycle;
mod room;
mod spares;

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use claude_comms_model::{
    ConversationId, Instance, InstanceExit, InstanceId, InstanceState, Usage, instance::InstanceEvent,
};
use claude_comms_supervisor::Vitals;

use self::room::Served;
pub(crate) use self::{
    pause::{Pause, Settle},
    recycle::{ProcessLimits, Recycle, Tenure},
    room::{RoomLimits, Warm},
};
use crate::{backend::Running, health::Finding, pair::Pair};

/// How many stopped instances are remembered for `list-instances --all`.
const REMEMBERED: usize = 200;

/// An instance in the pool.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its record.
    pub record: Instance,
    /// Whom it serves.
    pub pair: Pair,
    /// What it is doing.
    pub state: InstanceState,
    /// Its process while nobody has leased it.
    pub idle: Option<Running>,
    /// The process's id; 0 without one.
    pub process_id: u32,
    /// Vital signs of its newest process.
    pub vitals: Option<Vitals>,
    /// How the process of `vitals` was when it was last checked.
    pub checked: Option<Finding>,
    /// How often in a row the process of `vitals` was found unhealthy.
    pub unhealthy: u32,
    /// Since when it has been idle.
    pub idle_since: Instant,
    /// Whether its turn may still end once it is stopping.
    pub stop_now: bool,
    /// Its process is being ended: the slot is free soon.
    pub ending: bool,
    /// Where its pause stands.
    pub pause: Pause,
    /// What its newest process has done.
    pub tenure: Tenure,
    /// Whether no conversation has it yet.
    pub spare: bool,
}

impl Entry {
    /// Whether the pool may end it to make room. One without a process was paused when it lost it.
    fn may_go(&self) -> bool {
        !self.record.pinned && matches!(self.state, InstanceState::Idle | InstanceState::Dormant)
    }

    /// Whether it takes no new turns because somebody paused it.
    pub(crate) fn is_paused(&self) -> bool {
        self.pause.pending || self.state == InstanceState::Paused
    }

    /// How its process was when it was last checked, if that is the one it has now.
    pub(crate) fn health(&self) -> Option<Finding> {
        self.checked.clone().filter(|finding| finding.process_id == self.process_id)
    }
}

/// What a turn gets when it asks for an instance.
#[derive(Debug)]
pub(crate) enum Grant {
    /// This instance, with its process if it has one.
    Instance(InstanceId, Option<Running>),
    /// Its instance is not ready: ask again when something changes.
    Wait,
    /// All slots are taken, but one will be free: ask again.
    Full,
    /// All slots are taken for good.
    AllPinned,
    /// The instance that it must have is gone.
    Gone,
}

/// What changed, for those who watch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Noted {
    /// It does something else than before.
    State(InstanceId, InstanceState, Option<InstanceState>),
    /// Something else of it.
    Changed(InstanceId),
    /// It is in the pool no more.
    Gone(InstanceId),
    /// It is not even remembered.
    Forgotten(InstanceId),
}

/// What changed: for those who watch, and for turns that may run because of it.
#[derive(Debug, Default)]
struct Journal {
    noted: Vec<Noted>,
    stirred: Vec<InstanceId>,
}

impl Journal {
    fn push(&mut self, noted: Noted) {
        if let Noted::State(id, ..) | Noted::Gone(id) = noted {
            self.stirred.push(id);
        }
        self.noted.push(noted);
    }
}

/// The instances.
#[derive(Debug)]
pub(crate) struct Pool {
    journal: Journal,
    entries: HashMap<InstanceId, Entry>,
    of_conversation: HashMap<ConversationId, InstanceId>,
    stopped: VecDeque<Instance>,
    /// Instances that no conversation has yet, oldest first.
    spares: Vec<InstanceId>,
    limits: RoomLimits,
    served: Served,
}

impl Pool {
    pub(crate) fn new(max_instances: usize) -> Self {
        Self {
            journal: Journal::default(),
            entries: HashMap::new(),
            of_conversation: HashMap::new(),
            stopped: VecDeque::new(),
            spares: Vec::new(),
            limits: RoomLimits { instances: max_instances, ..RoomLimits::default() },
            served: Served::default(),
        }
    }

    /// Puts down that something of an instance changed.
    pub(crate) fn note(&mut self, id: InstanceId) {
        self.journal.push(Noted::Changed(id));
    }

    /// What was put down since the last time.
    pub(crate) fn take_journal(&mut self) -> Vec<Noted> {
        std::mem::take(&mut self.journal.noted)
    }

    /// Instances that do something else than before, since the last time.
    pub(crate) fn take_stirred(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.journal.stirred)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, id: InstanceId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: InstanceId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn stopped(&self) -> impl DoubleEndedIterator<Item = &Instance> {
        self.stopped.iter()
    }

    /// The instance that serves a conversation.
    pub(crate) fn of_conversation(&self, id: ConversationId) -> Option<InstanceId> {
        self.of_conversation.get(&id).copied()
    }

    /// Whether a name is in use among instances that are not stopped.
    pub(crate) fn name_taken(&self, name: &str) -> bool {
        self.entries.values().any(|entry| entry.record.name == name)
    }

    /// Puts an instance in that serves nobody's modules. The caller has looked that there is room.
    #[cfg(test)]
    pub(crate) fn insert(&mut self, record: Instance, state: InstanceState) {
        self.insert_for(record, Pair::none(), state);
    }

    /// Puts an instance in that serves this pair. The caller has looked that there is room.
    pub(crate) fn insert_for(&mut self, record: Instance, pair: Pair, state: InstanceState) {
        self.served.add(&pair);
        self.of_conversation.insert(record.conversation_id, record.id);
        self.journal.push(Noted::State(record.id, state, None));
        let entry = Entry {
            record,
            pair,
            state,
            idle: None,
            process_id: 0,
            vitals: None,
            checked: None,
            unhealthy: 0,
            idle_since: Instant::now(),
            stop_now: false,
            ending: false,
            pause: Pause::default(),
            tenure: Tenure::begin(),
            spare: false,
        };
        self.entries.insert(entry.record.id, entry);
    }

    /// Remembers a stopped instance from an earlier run of the server.
    pub(crate) fn remember(&mut self, record: Instance) {
        // Of pinned ones the store keeps as many as are remembered here: the pool's own go first.
        let first = self.stopped.iter().position(|record| !record.pinned).unwrap_or(0);
        if self.stopped.len() == REMEMBERED
            && let Some(oldest) = self.stopped.remove(first)
        {
            self.journal.push(Noted::Forgotten(oldest.id));
        }
        self.stopped.push_back(record);
    }

    /// Moves an instance's machine. What it cannot take is a bug: logged, and the instance goes on as it was.
    pub(crate) fn apply(&mut self, id: InstanceId, event: InstanceEvent) -> Option<InstanceState> {
        let entry = self.entries.get_mut(&id)?;
        match entry.state.next(event) {
            Ok(state) => {
                let previous = std::mem::replace(&mut entry.state, state);
                if previous != state {
                    self.journal.push(Noted::State(id, state, Some(previous)));
                }
                if matches!(state, InstanceState::Idle | InstanceState::Dormant) {
                    entry.idle_since = Instant::now();
                }
                Some(state)
            }
            Err(error) => {
                tracing::error!(%error, instance.id = %id, "illegal transition");
                None
            }
        }
    }

    /// Finds an instance for a turn. `make` gives the record of a new one.
    pub(crate) fn grant(
        &mut self,
        conversation: ConversationId,
        target: Option<InstanceId>,
        pair: &Pair,
        make: impl FnOnce() -> Instance,
    ) -> Grant {
        if let Some(id) = target.or_else(|| self.of_conversation(conversation)) {
            let Some(entry) = self.entries.get_mut(&id) else { return Grant::Gone };
            // One that was another's for a moment, and is a spare again, is nobody's.
            if entry.record.conversation_id != conversation {
                return Grant::Gone;
            }
            return match entry.state {
                InstanceState::Idle => {
                    let running = entry.idle.take();
                    self.apply(id, InstanceEvent::Lease);
                    Grant::Instance(id, running)
                }
                InstanceState::Dormant => {
                    self.apply(id, InstanceEvent::Start);
                    Grant::Instance(id, None)
                }
                InstanceState::Starting
                | InstanceState::Busy
                | InstanceState::Paused
                | InstanceState::Stopping
                | InstanceState::Stopped => Grant::Wait,
            };
        }
        if self.all_pinned() {
            return Grant::AllPinned;
        }
        if self.is_full() {
            return Grant::Full;
        }
        let record = make();
        let id = record.id;
        self.insert_for(record, pair.clone(), InstanceState::Starting);
        Grant::Instance(id, None)
    }

    /// Takes a stopped instance out and remembers it.
    pub(crate) fn remove(&mut self, id: InstanceId, exit: Option<InstanceExit>) -> Option<Instance> {
        let mut entry = self.entries.remove(&id)?;
        self.served.take(&entry.pair);
        self.drop_spare(id);
        if self.of_conversation.get(&entry.record.conversation_id) == Some(&id) {
            self.of_conversation.remove(&entry.record.conversation_id);
        }
        entry.record.stopped = true;
        if entry.state != InstanceState::Stopped {
            self.journal.push(Noted::State(id, InstanceState::Stopped, Some(entry.state)));
        }
        self.journal.push(Noted::Gone(id));
        if exit.is_some() {
            entry.record.exit = exit;
        }
        self.remember(entry.record.clone());
        Some(entry.record)
    }

    /// Takes an instance out that never came to be.
    pub(crate) fn forget(&mut self, id: InstanceId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.served.take(&entry.pair);
        self.drop_spare(id);
        self.journal.push(Noted::Gone(id));
        self.journal.push(Noted::Forgotten(id));
        if self.of_conversation.get(&entry.record.conversation_id) == Some(&id) {
            self.of_conversation.remove(&entry.record.conversation_id);
        }
    }

    /// A pinned instance's process ended with the server: the instance itself goes on.
    pub(crate) fn make_dormant(&mut self, id: InstanceId, exit: Option<InstanceExit>) {
        if let Some(entry) = self.entries.get_mut(&id) {
            let previous = std::mem::replace(&mut entry.state, InstanceState::Dormant);
            self.journal.push(Noted::State(id, InstanceState::Dormant, Some(previous)));
            entry.ending = false;
            entry.process_id = 0;
            if exit.is_some() {
                entry.record.exit = exit;
            }
        }
    }

    /// Counts a turn that ended.
    pub(crate) fn count_turn(
        &mut self,
        id: InstanceId,
        usage: Usage,
        cost_usd: f64,
        at: claude_comms_model::Timestamp,
    ) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.record.turn_count += 1;
            entry.tenure.turns += 1;
            entry.record.usage += usage;
            entry.record.cost_usd += cost_usd;
            entry.record.last_active_time = at;
            self.journal.push(Noted::Changed(id));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
