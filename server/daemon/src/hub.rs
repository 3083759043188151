//! The turns that have not ended, by id, who watches their conversations, and the instances: where watchers find them.
//!
//! It must not know: gRPC, the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use claude_comms_model::{ConversationId, TurnId};

use crate::{
    conversation_watch::{Audience, Seat},
    live::LiveTurn,
    monitor::Monitor,
};

/// Cheap to clone. A turn is put in before it is accepted and taken out after its end was published, so that who does not
/// find it here finds its terminal record in the store.
#[derive(Debug, Clone, Default)]
pub struct EventHub {
    inner: Arc<Mutex<Inner>>,
    monitor: Monitor,
}

#[derive(Debug, Default)]
struct Inner {
    turns: HashMap<TurnId, Arc<LiveTurn>>,
    /// Of the conversations that are watched now. Locked after the hub, never before.
    audiences: HashMap<ConversationId, Arc<Audience>>,
    closed: bool,
}

impl EventHub {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics while it holds the hub")
    }

    /// Where what happens to instances is put down.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Puts a turn in.
    pub fn insert(&self, turn: Arc<LiveTurn>) {
        self.inner().turns.insert(turn.id, turn);
    }

    /// Tells those who watch its conversation of a turn that was accepted.
    pub fn announce(&self, turn: &Arc<LiveTurn>) {
        let audience = self.inner().audiences.get(&turn.conversation_id).cloned();
        if let Some(audience) = audience {
            audience.announce(turn);
        }
    }

    /// Takes a turn out.
    pub fn remove(&self, id: TurnId) {
        let mut inner = self.inner();
        let Some(turn) = inner.turns.remove(&id) else { return };
        if let Some(audience) = inner.audiences.get(&turn.conversation_id) {
            audience.forget(id);
        }
    }

    /// The turn, if it has not ended.
    pub fn get(&self, id: TurnId) -> Option<Arc<LiveTurn>> {
        self.inner().turns.get(&id).cloned()
    }

    /// All turns that have not ended.
    pub fn all(&self) -> Vec<Arc<LiveTurn>> {
        self.inner().turns.values().cloned().collect()
    }

    /// A seat in a conversation's audience: from now on its turns are announced there, those that have not ended first.
    pub(crate) fn seat(&self, conversation: ConversationId) -> Seat {
        let mut inner = self.inner();
        let closed = inner.closed;
        let audience = match inner.audiences.get(&conversation) {
            Some(audience) => Arc::clone(audience),
            None => {
                let audience = Arc::new(Audience::new(closed));
                // One that is not accepted yet will be announced.
                let turns = inner.turns.values().filter(|turn| turn.conversation_id == conversation);
                turns.filter(|turn| turn.is_accepted()).for_each(|turn| audience.announce(turn));
                inner.audiences.insert(conversation, Arc::clone(&audience));
                audience
            }
        };
        Seat::new(audience, conversation, self.clone())
    }

    /// Takes back a seat. An audience without one is forgotten.
    pub(crate) fn leave(&self, conversation: ConversationId, audience: &Audience, waker: Option<usize>) {
        let mut inner = self.inner();
        if audience.leave(waker) == 0 {
            inner.audiences.remove(&conversation);
        }
    }

    /// Sends those away who watch conversations: the server ends.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.audiences.values().for_each(|audience| audience.close());
    }
}
