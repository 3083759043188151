//! The turns that have not ended, by id: where watchers find them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use claude_comms_model::TurnId;

use crate::live::LiveTurn;

/// Cheap to clone. A turn is put in before it is accepted and taken out after its end was published, so that who does not
/// find it here finds its terminal record in the store.
#[derive(Debug, Clone, Default)]
pub struct EventHub {
    turns: Arc<Mutex<HashMap<TurnId, Arc<LiveTurn>>>>,
}

impl EventHub {
    fn turns(&self) -> MutexGuard<'_, HashMap<TurnId, Arc<LiveTurn>>> {
        self.turns.lock().expect("no code panics while it holds the hub")
    }

    /// Puts a turn in.
    pub fn insert(&self, turn: Arc<LiveTurn>) {
        self.turns().insert(turn.id, turn);
    }

    /// Takes a turn out.
    pub fn remove(&self, id: TurnId) {
        self.turns().remove(&id);
    }

    /// The turn, if it has not ended.
    pub fn get(&self, id: TurnId) -> Option<Arc<LiveTurn>> {
        self.turns().get(&id).cloned()
    }

    /// All turns that have not ended.
    pub fn all(&self) -> Vec<Arc<LiveTurn>> {
        self.turns().values().cloned().collect()
    }
}
