//! Spares: instances that nobody has yet, with a process that was told nothing. Pure bookkeeping, as the pool: how many
//! there shall be is another's.

use std::time::{Duration, Instant};

use claude_comms_model::{
    ConversationId, Instance, InstanceId, InstanceState, Timestamp, instance::InstanceEvent,
};

use super::{Entry, Pause, Pool};
use crate::{
    backend::{LaunchMark, Running},
    pair::Pair,
};

impl Entry {
    /// Whether it waits for a conversation with a process that can be claimed.
    fn is_ready_spare(&self) -> bool {
        self.spare && self.state == InstanceState::Idle && self.parked().is_some()
    }

    /// What held when its process was started, if nobody has claimed that yet.
    pub(crate) fn parked(&self) -> Option<LaunchMark> {
        self.idle.as_ref()?.parked
    }
}

impl Pool {
    /// Puts in an instance that will be a spare once its process is there. The caller has looked that there is room.
    pub(crate) fn insert_spare(&mut self, record: Instance) {
        let (id, nobody) = (record.id, record.conversation_id);
        self.insert_for(record, Pair::none(), InstanceState::Starting);
        self.of_conversation.remove(&nobody);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.spare = true;
        }
        self.spares.push(id);
    }

    /// Whether a spare would leave room for so many others that wait for a slot.
    pub(crate) fn has_room_beside(&self, waiting: usize) -> bool {
        self.entries.len() + waiting < self.limits.instances
    }

    /// How many spares there are or will be; those that end are not counted.
    pub(crate) fn spares(&self) -> usize {
        self.staying_spares().count()
    }

    /// Those, oldest first.
    pub(crate) fn staying_spares(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.spares.iter().filter_map(|id| self.entries.get(id));
        entries.filter(|entry| entry.spare && entry.state != InstanceState::Stopping)
    }

    /// Whether there is any, also one that ends.
    pub(crate) fn knows_spares(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Whether a conversation could have one now.
    pub(crate) fn has_ready_spare(&self) -> bool {
        self.staying_spares().any(Entry::is_ready_spare)
    }

    /// Gives the oldest spare to a conversation that has no instance; its process is still to be claimed.
    pub(crate) fn take_spare(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Option<(InstanceId, Running)> {
        if self.of_conversation.contains_key(&conversation) {
            return None;
        }
        let id = self.staying_spares().find(|entry| entry.is_ready_spare())?.record.id;
        self.spares.retain(|spare| *spare != id);
        let entry = self.entries.get_mut(&id)?;
        let running = entry.idle.take()?;
        entry.spare = false;
        entry.record.conversation_id = conversation;
        entry.record.last_active_time = now;
        self.of_conversation.insert(conversation, id);
        self.apply(id, InstanceEvent::Lease);
        Some((id, running))
    }

    /// An instance whose conversation came to nothing before it spoke to the process is a spare again.
    pub(crate) fn return_spare(&mut self, id: InstanceId) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.spare) else { return };
        let nobody = ConversationId(uuid::Uuid::nil());
        let conversation = std::mem::replace(&mut entry.record.conversation_id, nobody);
        entry.spare = true;
        // Nobody can resume a spare, so none is paused.
        entry.pause = Pause::default();
        if self.of_conversation.get(&conversation) == Some(&id) {
            self.of_conversation.remove(&conversation);
        }
        self.spares.insert(0, id);
        self.set_pair(id, Pair::none());
        self.note(id);
    }

    /// Spares that have waited this long.
    pub(crate) fn spares_older_than(&self, age: Duration) -> Vec<InstanceId> {
        let now = Instant::now();
        let old = |entry: &&Entry| entry.is_ready_spare() && now - entry.tenure.since >= age;
        self.staying_spares().filter(old).map(|entry| entry.record.id).collect()
    }

    /// A spare is no more.
    pub(super) fn drop_spare(&mut self, id: InstanceId) {
        self.spares.retain(|spare| *spare != id);
    }
}

#[cfg(test)]
mod tests {
    use claude_comms_model::{ServerId, Usage};
    use uuid::Uuid;

    use super::*;
    use crate::{backend::fake::FakeWorker, pool::Grant};

    fn record(id: u128, conversation: u128) -> Instance {
        Instance {
            id: InstanceId(Uuid::from_u128(id)),
            name: String::new(),
            backend: "fake".to_owned(),
            model: None,
            conversation_id: ConversationId(Uuid::from_u128(conversation)),
            pinned: false,
            stopped: false,
            server_id: ServerId(Uuid::nil()),
            process_generation: 1,
            turn_count: 0,
            usage: Usage::default(),
            cost_usd: 0.0,
            create_time: Timestamp(0),
            last_active_time: Timestamp(0),
            exit: None,
        }
    }

    fn with_ready_spares(count: u128) -> Pool {
        let mut pool = Pool::new(3);
        for id in 1..=count {
            pool.insert_spare(record(id, 0));
            let id = InstanceId(Uuid::from_u128(id));
            pool.get_mut(id).expect("it is there").idle = Some(FakeWorker::parked());
            pool.apply(id, InstanceEvent::Ready);
        }
        pool
    }

    fn id(number: u128) -> InstanceId {
        InstanceId(Uuid::from_u128(number))
    }

    #[test]
    fn the_oldest_spare_goes_to_a_conversation_without_an_instance_and_to_no_other() {
        let mut pool = with_ready_spares(2);
        let one = ConversationId(Uuid::from_u128(11));
        let (taken, running) = pool.take_spare(one, Timestamp(5)).expect("there are two");
        assert_eq!((taken, pool.spares()), (id(1), 1));
        assert_eq!(pool.of_conversation(one), Some(taken));
        assert!(pool.take_spare(one, Timestamp(5)).is_none(), "it has one");
        // It comes back untouched.
        pool.get_mut(taken).expect("it is there").idle = Some(running);
        pool.apply(taken, InstanceEvent::Return);
        pool.return_spare(taken);
        assert_eq!((pool.spares(), pool.of_conversation(one)), (2, None));
        // Who saw it as the first conversation's cannot get it for that: it would be claimed behind the pool's back.
        let made = || unreachable!("it has a target");
        assert!(matches!(pool.grant(one, Some(taken), &Pair::none(), made), Grant::Gone));
        assert_eq!(pool.take_spare(one, Timestamp(6)).map(|(id, _)| id), Some(id(1)), "still the oldest");
    }

    #[test]
    fn spares_are_the_first_to_go_and_are_not_reclaimed_as_idle() {
        let mut pool = with_ready_spares(1);
        pool.insert(record(9, 99), InstanceState::Idle);
        pool.get_mut(id(9)).expect("it is there").idle_since = Instant::now() - Duration::from_secs(9);
        assert_eq!(pool.longest_idle(), Some(id(1)));
        assert_eq!(pool.idle_since(Instant::now()), [id(9)]);
        assert!(pool.spares_older_than(Duration::from_secs(60)).is_empty());
        assert_eq!(pool.spares_older_than(Duration::ZERO), [id(1)]);
    }

    #[test]
    fn a_spare_that_starts_or_ends_is_not_given_away() {
        let mut pool = Pool::new(2);
        let conversation = ConversationId(Uuid::from_u128(11));
        pool.insert_spare(record(1, 0));
        assert_eq!((pool.spares(), pool.has_ready_spare()), (1, false));
        assert!(pool.take_spare(conversation, Timestamp(0)).is_none());
        pool.apply(id(1), InstanceEvent::Stop);
        assert_eq!(pool.spares(), 0);
        let made = || record(2, 11);
        assert!(
            matches!(pool.grant(conversation, None, &Pair::none(), made), Grant::Instance(granted, None) if granted == id(2))
        );
        pool.forget(id(1));
        assert_eq!(pool.len(), 1);
    }
}
