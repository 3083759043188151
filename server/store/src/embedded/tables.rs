//! The open tables of one write transaction, in terms of records. Decides nothing.

use claude_comms_model::{
    Conversation, ConversationId, Event, IllegalTransition, Instance, InstanceId, ServerId, Timestamp, Turn,
    TurnId,
};
use redb::{ReadableTable, StorageError, WriteTransaction};

use super::{
    lazy::Lazy,
    prompts,
    rows::{self, EventRow},
    schema,
};
use crate::{ServerIdentity, StoreError};

/// Why an operation of a batch did not happen.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It failed a check before it wrote anything; its batch goes on.
    Refused(StoreError),
    /// The file failed; the whole batch is void.
    Broken(redb::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<IllegalTransition> for Fault {
    fn from(error: IllegalTransition) -> Self {
        Self::Refused(error.into())
    }
}

/// For results of table operations: their failure breaks the batch.
pub(crate) trait OrBroken<T> {
    /// The value, or [`Fault::Broken`].
    fn or_broken(self) -> Result<T, Fault>;
}

impl<T> OrBroken<T> for Result<T, StorageError> {
    fn or_broken(self) -> Result<T, Fault> {
        self.map_err(|error| Fault::Broken(error.into()))
    }
}

/// What the writer knows besides the tables.
#[derive(Debug)]
pub(crate) struct WriterState {
    /// Who this server is.
    pub(crate) server: ServerIdentity,
    /// The store's clock.
    pub(crate) clock: fn() -> Timestamp,
    /// The next place at the queue's end; only grows.
    pub(crate) next_place: i64,
}

/// The tables of a write transaction, each open from its first use on.
pub(crate) struct Tables<'t> {
    pub(crate) state: &'t mut WriterState,
    meta: Lazy<'t, &'static str, &'static str>,
    conversations: Lazy<'t, u128, &'static [u8]>,
    turns: Lazy<'t, u128, &'static [u8]>,
    system_prompts: Lazy<'t, u128, &'static str>,
    prompts: Lazy<'t, u128, &'static str>,
    asked: Lazy<'t, u128, &'static [u8]>,
    pub(super) scenes: Lazy<'t, &'static str, &'static str>,
    pub(super) scene_users: Lazy<'t, (&'static str, u128), ()>,
    pub(super) conversation_turns: Lazy<'t, (u128, u128), ()>,
    events: Lazy<'t, (u128, u64), &'static [u8]>,
    pub(super) requests: Lazy<'t, (u128, u128), u128>,
    pub(super) pair_requests: Lazy<'t, (u128, u128), u128>,
    pub(super) paired_turns: Lazy<'t, u128, (u128, u128)>,
    unfinished: Lazy<'t, (u128, u128), (i64, u128)>,
    instances: Lazy<'t, (u128, u128), &'static [u8]>,
    pub(super) module_conversations: Lazy<'t, (&'static str, u128), ()>,
    pub(super) module_turns: Lazy<'t, (&'static str, u128), ()>,
    pub(super) modules: Lazy<'t, (&'static str, u64), &'static [u8]>,
    pub(super) module_descriptors: Lazy<'t, (&'static str, u64), &'static str>,
    pub(super) module_heads: Lazy<'t, &'static str, u64>,
    pub(super) tokens: Lazy<'t, &'static str, &'static [u8]>,
    pub(super) instance_events: Lazy<'t, (u128, u64), &'static [u8]>,
    pub(super) instance_logs: Lazy<'t, (u128, u128), u64>,
    pub(super) buffer: &'t mut Vec<u8>,
    /// Whether anything was written, that is: whether there is something to commit.
    pub(crate) wrote: bool,
}

impl<'t> Tables<'t> {
    /// Those of a transaction, none open yet.
    pub(crate) fn new(
        transaction: &'t WriteTransaction,
        state: &'t mut WriterState,
        buffer: &'t mut Vec<u8>,
    ) -> Self {
        Self {
            state,
            meta: Lazy::new(transaction, schema::META),
            conversations: Lazy::new(transaction, schema::CONVERSATIONS),
            turns: Lazy::new(transaction, schema::TURNS),
            system_prompts: Lazy::new(transaction, schema::SYSTEM_PROMPTS),
            prompts: Lazy::new(transaction, schema::PROMPTS),
            asked: Lazy::new(transaction, schema::ASKED),
            scenes: Lazy::new(transaction, schema::SCENES),
            scene_users: Lazy::new(transaction, schema::SCENE_USERS),
            conversation_turns: Lazy::new(transaction, schema::CONVERSATION_TURNS),
            events: Lazy::new(transaction, schema::EVENTS),
            requests: Lazy::new(transaction, schema::REQUESTS),
            pair_requests: Lazy::new(transaction, schema::PAIR_REQUESTS),
            paired_turns: Lazy::new(transaction, schema::PAIRED_TURNS),
            unfinished: Lazy::new(transaction, schema::UNFINISHED),
            instances: Lazy::new(transaction, schema::INSTANCES),
            module_conversations: Lazy::new(transaction, schema::MODULE_CONVERSATIONS),
            module_turns: Lazy::new(transaction, schema::MODULE_TURNS),
            modules: Lazy::new(transaction, schema::MODULES),
            module_descriptors: Lazy::new(transaction, schema::MODULE_DESCRIPTORS),
            module_heads: Lazy::new(transaction, schema::MODULE_HEADS),
            tokens: Lazy::new(transaction, schema::TOKENS),
            instance_events: Lazy::new(transaction, schema::INSTANCE_EVENTS),
            instance_logs: Lazy::new(transaction, schema::INSTANCE_LOGS),
            buffer,
            wrote: false,
        }
    }

    /// The time by the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        (self.state.clock)()
    }

    /// Writes what nobody reads.
    pub(crate) fn probe(&mut self) -> Result<(), Fault> {
        self.wrote = true;
        let now = self.now().0.to_string();
        self.meta.write()?.insert(schema::PROBE, now.as_str()).or_broken()?;
        Ok(())
    }

    /// The conversation without its system prompt, which no write needs.
    pub(crate) fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, Fault> {
        let row = self.conversations.read()?.get(id.0.as_u128()).or_broken()?;
        Ok(row.map(|row| rows::decode("conversation", row.value())).transpose()?)
    }

    /// The same, which must exist.
    pub(crate) fn known_conversation(&self, id: ConversationId) -> Result<Conversation, Fault> {
        let missing = || StoreError::NotFound { what: "conversation", id: id.to_string() };
        Ok(self.conversation(id)?.ok_or_else(missing)?)
    }

    /// Writes a conversation's system prompt.
    pub(crate) fn put_system_prompt(&mut self, id: ConversationId, prompt: &str) -> Result<(), Fault> {
        self.wrote = true;
        self.system_prompts.write()?.insert(id.0.as_u128(), prompt).or_broken()?;
        Ok(())
    }

    /// Takes a conversation's system prompt away.
    pub(crate) fn remove_system_prompt(&mut self, id: ConversationId) -> Result<(), Fault> {
        self.wrote = true;
        self.system_prompts.write()?.remove(id.0.as_u128()).or_broken()?;
        Ok(())
    }

    /// Writes a conversation as [`Tables::conversation`] gives it.
    pub(crate) fn put_conversation(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        debug_assert!(conversation.system_prompt.is_empty(), "it has a row of its own");
        self.wrote = true;
        rows::encode(conversation, self.buffer);
        self.conversations
            .write()?
            .insert(conversation.id.0.as_u128(), self.buffer.as_slice())
            .or_broken()?;
        Ok(())
    }

    /// Whether there is such a turn.
    pub(crate) fn has_turn(&self, id: TurnId) -> Result<bool, Fault> {
        Ok(self.turns.read()?.get(id.0.as_u128()).or_broken()?.is_some())
    }

    /// The turn without what was asked, which no write needs: it would be looked for and read at every step.
    pub(crate) fn turn(&self, id: TurnId) -> Result<Option<Turn>, Fault> {
        let row = self.turns.read()?.get(id.0.as_u128()).or_broken()?;
        let mut turn = row.map(|row| rows::decode_turn(id.0.as_u128(), row.value())).transpose()?;
        if let Some(turn) = &mut turn
            && prompts::may_be_apart(turn)
        {
            prompts::complete_turn(turn, self.prompts.read()?).or_broken()?;
        }
        Ok(turn)
    }

    /// Puts back what was asked.
    pub(crate) fn complete_turn(&self, turn: &mut Turn) -> Result<(), Fault> {
        let asked = self.asked.read()?.get(turn.id.0.as_u128()).or_broken()?;
        turn.asked = asked.map(|row| rows::decode("asked row", row.value())).transpose()?;
        Ok(())
    }

    /// The same, which must exist.
    pub(crate) fn known_turn(&self, id: TurnId) -> Result<Turn, Fault> {
        let missing = || StoreError::NotFound { what: "turn", id: id.to_string() };
        Ok(self.turn(id)?.ok_or_else(missing)?)
    }

    /// Writes a turn's row; of its texts those that it holds itself.
    pub(crate) fn put_turn(&mut self, turn: &mut Turn) -> Result<(), Fault> {
        self.wrote = true;
        if prompts::is_apart(turn) {
            let prompt = std::mem::take(&mut turn.prompt);
            rows::encode(turn, self.buffer);
            turn.prompt = prompt;
        } else {
            rows::encode(turn, self.buffer);
        }
        self.turns.write()?.insert(turn.id.0.as_u128(), self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    /// Enters a new turn: it, its texts, and its place under its conversation. Its other indexes are in
    /// [`super::indexes`].
    pub(crate) fn put_new_turn(&mut self, turn: &mut Turn) -> Result<(), Fault> {
        self.put_turn(turn)?;
        let (conversation, id) = (turn.conversation_id.0.as_u128(), turn.id.0.as_u128());
        if prompts::is_apart(turn) {
            self.prompts.write()?.insert(id, turn.prompt.as_str()).or_broken()?;
        }
        if let Some(asked) = &turn.asked {
            rows::encode(asked, self.buffer);
            self.asked.write()?.insert(id, self.buffer.as_slice()).or_broken()?;
        }
        self.conversation_turns.write()?.insert((conversation, id), ()).or_broken()?;
        Ok(())
    }

    pub(crate) fn put_event(&mut self, event: &Event) -> Result<(), Fault> {
        self.wrote = true;
        let row = EventRow { turn: event.turn_id, time: event.time, kind: event.kind.clone() };
        rows::encode(&row, self.buffer);
        let key = (event.conversation_id.0.as_u128(), event.sequence);
        self.events.write()?.insert(key, self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    /// Puts a new turn at the end of the queue.
    pub(crate) fn enqueue(&mut self, turn: &Turn) -> Result<(), Fault> {
        let place = self.state.next_place;
        self.state.next_place += 1;
        self.place(turn, place)
    }

    /// Puts a turn that waits in the queue already before all others of its conversation.
    pub(crate) fn enqueue_first(&mut self, turn: &Turn) -> Result<(), Fault> {
        let id = turn.id.0.as_u128();
        let (mut own, mut first) = (i64::MAX, i64::MAX);
        for (other, place) in self.places(turn.conversation_id)? {
            if other == id {
                own = place;
            } else {
                first = first.min(place);
            }
        }
        if own < first { Ok(()) } else { self.place(turn, first.saturating_sub(1)) }
    }

    fn place(&mut self, turn: &Turn, place: i64) -> Result<(), Fault> {
        self.wrote = true;
        let key = (turn.server_id.0.as_u128(), turn.id.0.as_u128());
        self.unfinished.write()?.insert(key, (place, turn.conversation_id.0.as_u128())).or_broken()?;
        Ok(())
    }

    /// Takes an ended turn out of the queue.
    pub(crate) fn dequeue(&mut self, turn: &Turn) -> Result<(), Fault> {
        self.wrote = true;
        self.unfinished.write()?.remove((turn.server_id.0.as_u128(), turn.id.0.as_u128())).or_broken()?;
        Ok(())
    }

    /// Turns of a conversation that have not ended, with their places.
    pub(crate) fn places(&self, conversation: ConversationId) -> Result<Vec<(u128, i64)>, Fault> {
        let mut places = Vec::new();
        for row in self.unfinished.read()?.iter().or_broken()? {
            let (key, value) = row.or_broken()?;
            let (place, of) = value.value();
            if of == conversation.0.as_u128() {
                places.push((key.value().1, place));
            }
        }
        Ok(places)
    }

    /// Removes a conversation and all that hangs on it.
    pub(crate) fn remove_conversation(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        self.wrote = true;
        self.unlist_conversation(conversation)?;
        self.release_scene(conversation.id, &conversation.scene)?;
        let id = conversation.id.0.as_u128();
        let all = (id, u128::MIN)..=(id, u128::MAX);
        let (turns, prompts, asked) = (self.turns.write()?, self.prompts.write()?, self.asked.write()?);
        for row in self.conversation_turns.write()?.extract_from_if(all, |_, ()| true).or_broken()? {
            let turn = row.or_broken()?.0.value().1;
            turns.remove(turn).or_broken()?;
            prompts.remove(turn).or_broken()?;
            asked.remove(turn).or_broken()?;
        }
        self.events.write()?.retain_in((id, u64::MIN)..=(id, u64::MAX), |_, _| false).or_broken()?;
        self.system_prompts.write()?.remove(id).or_broken()?;
        self.conversations.write()?.remove(id).or_broken()?;
        Ok(())
    }

    pub(crate) fn instance(&self, server: ServerId, id: InstanceId) -> Result<Option<Instance>, Fault> {
        let row = self.instances.read()?.get((server.0.as_u128(), id.0.as_u128())).or_broken()?;
        Ok(row.map(|row| rows::decode("instance", row.value())).transpose()?)
    }

    /// A server's instances.
    pub(crate) fn instances(&self, server: ServerId) -> Result<Vec<Instance>, Fault> {
        let server = server.0.as_u128();
        let mut instances = Vec::new();
        for row in self.instances.read()?.range((server, u128::MIN)..=(server, u128::MAX)).or_broken()? {
            instances.push(rows::decode("instance", row.or_broken()?.1.value())?);
        }
        Ok(instances)
    }

    pub(crate) fn put_instance(&mut self, instance: &Instance) -> Result<(), Fault> {
        self.wrote = true;
        rows::encode(instance, self.buffer);
        let key = (instance.server_id.0.as_u128(), instance.id.0.as_u128());
        self.instances.write()?.insert(key, self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    pub(crate) fn remove_instance(&mut self, instance: &Instance) -> Result<(), Fault> {
        self.wrote = true;
        self.instances
            .write()?
            .remove((instance.server_id.0.as_u128(), instance.id.0.as_u128()))
            .or_broken()?;
        Ok(())
    }
}
