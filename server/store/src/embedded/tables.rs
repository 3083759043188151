//! The open tables of one write transaction, in terms of records. Decides nothing.

use claude_comms_model::{
    Conversation, ConversationId, Event, IllegalTransition, Instance, InstanceId, RequestId, ServerId,
    Timestamp, Turn, TurnId,
};
use redb::{ReadableTable, StorageError, Table, WriteTransaction};
use uuid::Uuid;

use super::{
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
pub(crate) struct Scene {
    /// Who this server is.
    pub(crate) server: ServerIdentity,
    /// The store's clock.
    pub(crate) clock: fn() -> Timestamp,
    /// The next place at the queue's end; only grows.
    pub(crate) next_place: i64,
}

/// The tables of a write transaction.
pub(crate) struct Tables<'t> {
    pub(crate) scene: &'t mut Scene,
    conversations: Table<'t, u128, &'static [u8]>,
    turns: Table<'t, u128, &'static [u8]>,
    system_prompts: Table<'t, u128, &'static str>,
    prompts: Table<'t, u128, &'static str>,
    conversation_turns: Table<'t, (u128, u128), ()>,
    events: Table<'t, (u128, u64), &'static [u8]>,
    requests: Table<'t, (u128, u128), u128>,
    unfinished: Table<'t, (u128, u128), (i64, u128)>,
    instances: Table<'t, (u128, u128), &'static [u8]>,
    buffer: &'t mut Vec<u8>,
    /// Whether anything was written, that is: whether there is something to commit.
    pub(crate) wrote: bool,
}

impl<'t> Tables<'t> {
    /// Opens them all.
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        scene: &'t mut Scene,
        buffer: &'t mut Vec<u8>,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            scene,
            conversations: transaction.open_table(schema::CONVERSATIONS)?,
            turns: transaction.open_table(schema::TURNS)?,
            system_prompts: transaction.open_table(schema::SYSTEM_PROMPTS)?,
            prompts: transaction.open_table(schema::PROMPTS)?,
            conversation_turns: transaction.open_table(schema::CONVERSATION_TURNS)?,
            events: transaction.open_table(schema::EVENTS)?,
            requests: transaction.open_table(schema::REQUESTS)?,
            unfinished: transaction.open_table(schema::UNFINISHED)?,
            instances: transaction.open_table(schema::INSTANCES)?,
            buffer,
            wrote: false,
        })
    }

    /// The time by the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        (self.scene.clock)()
    }

    /// The conversation without its system prompt, which no write needs.
    pub(crate) fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, Fault> {
        let row = self.conversations.get(id.0.as_u128()).or_broken()?;
        Ok(row.map(|row| rows::decode("conversation", row.value())).transpose()?)
    }

    /// The same, which must exist.
    pub(crate) fn known_conversation(&self, id: ConversationId) -> Result<Conversation, Fault> {
        let missing = || StoreError::NotFound { what: "conversation", id: id.to_string() };
        Ok(self.conversation(id)?.ok_or_else(missing)?)
    }

    /// Writes a conversation's system prompt, for good.
    pub(crate) fn put_system_prompt(&mut self, id: ConversationId, prompt: &str) -> Result<(), Fault> {
        self.wrote = true;
        if !prompt.is_empty() {
            self.system_prompts.insert(id.0.as_u128(), prompt).or_broken()?;
        }
        Ok(())
    }

    /// Writes a conversation as [`Tables::conversation`] gives it.
    pub(crate) fn put_conversation(&mut self, conversation: &Conversation) -> Result<(), Fault> {
        debug_assert!(conversation.system_prompt.is_empty(), "it has a row of its own");
        self.wrote = true;
        rows::encode(conversation, self.buffer);
        self.conversations.insert(conversation.id.0.as_u128(), self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    pub(crate) fn turn(&self, id: TurnId) -> Result<Option<Turn>, Fault> {
        let row = self.turns.get(id.0.as_u128()).or_broken()?;
        let mut turn = row.map(|row| rows::decode_turn(id.0.as_u128(), row.value())).transpose()?;
        if let Some(turn) = &mut turn {
            prompts::complete_turn(turn, &self.prompts).or_broken()?;
        }
        Ok(turn)
    }

    /// The turn, which must exist.
    pub(crate) fn known_turn(&self, id: TurnId) -> Result<Turn, Fault> {
        let missing = || StoreError::NotFound { what: "turn", id: id.to_string() };
        Ok(self.turn(id)?.ok_or_else(missing)?)
    }

    pub(crate) fn put_turn(&mut self, turn: &mut Turn) -> Result<(), Fault> {
        self.wrote = true;
        if prompts::is_apart(turn) {
            let prompt = std::mem::take(&mut turn.prompt);
            rows::encode(turn, self.buffer);
            turn.prompt = prompt;
        } else {
            rows::encode(turn, self.buffer);
        }
        self.turns.insert(turn.id.0.as_u128(), self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    /// Enters a new turn: it, its prompt, and its place under its conversation and its request.
    pub(crate) fn put_new_turn(&mut self, turn: &mut Turn) -> Result<(), Fault> {
        self.put_turn(turn)?;
        let (conversation, id) = (turn.conversation_id.0.as_u128(), turn.id.0.as_u128());
        if prompts::is_apart(turn) {
            self.prompts.insert(id, turn.prompt.as_str()).or_broken()?;
        }
        self.conversation_turns.insert((conversation, id), ()).or_broken()?;
        self.requests.insert((conversation, turn.request_id.0.as_u128()), id).or_broken()?;
        Ok(())
    }

    pub(crate) fn turn_of_request(
        &self,
        conversation: ConversationId,
        request: RequestId,
    ) -> Result<Option<TurnId>, Fault> {
        let row = self.requests.get((conversation.0.as_u128(), request.0.as_u128())).or_broken()?;
        Ok(row.map(|id| TurnId(Uuid::from_u128(id.value()))))
    }

    pub(crate) fn put_event(&mut self, event: &Event) -> Result<(), Fault> {
        self.wrote = true;
        let row = EventRow { turn: event.turn_id, time: event.time, kind: event.kind.clone() };
        rows::encode(&row, self.buffer);
        let key = (event.conversation_id.0.as_u128(), event.sequence);
        self.events.insert(key, self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    /// Puts a new turn at the end of the queue.
    pub(crate) fn enqueue(&mut self, turn: &Turn) -> Result<(), Fault> {
        let place = self.scene.next_place;
        self.scene.next_place += 1;
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
        self.unfinished.insert(key, (place, turn.conversation_id.0.as_u128())).or_broken()?;
        Ok(())
    }

    /// Takes an ended turn out of the queue.
    pub(crate) fn dequeue(&mut self, turn: &Turn) -> Result<(), Fault> {
        self.wrote = true;
        self.unfinished.remove((turn.server_id.0.as_u128(), turn.id.0.as_u128())).or_broken()?;
        Ok(())
    }

    /// Turns of a conversation that have not ended, with their places.
    pub(crate) fn places(&self, conversation: ConversationId) -> Result<Vec<(u128, i64)>, Fault> {
        let mut places = Vec::new();
        for row in self.unfinished.iter().or_broken()? {
            let (key, value) = row.or_broken()?;
            let (place, of) = value.value();
            if of == conversation.0.as_u128() {
                places.push((key.value().1, place));
            }
        }
        Ok(places)
    }

    /// Removes a conversation and all that hangs on it.
    pub(crate) fn remove_conversation(&mut self, id: ConversationId) -> Result<(), Fault> {
        self.wrote = true;
        let id = id.0.as_u128();
        let all = (id, u128::MIN)..=(id, u128::MAX);
        for row in self.conversation_turns.extract_from_if(all.clone(), |_, ()| true).or_broken()? {
            let (key, _) = row.or_broken()?;
            self.turns.remove(key.value().1).or_broken()?;
            self.prompts.remove(key.value().1).or_broken()?;
        }
        self.requests.retain_in(all, |_, _| false).or_broken()?;
        self.events.retain_in((id, u64::MIN)..=(id, u64::MAX), |_, _| false).or_broken()?;
        self.system_prompts.remove(id).or_broken()?;
        self.conversations.remove(id).or_broken()?;
        Ok(())
    }

    pub(crate) fn instance(&self, server: ServerId, id: InstanceId) -> Result<Option<Instance>, Fault> {
        let row = self.instances.get((server.0.as_u128(), id.0.as_u128())).or_broken()?;
        Ok(row.map(|row| rows::decode("instance", row.value())).transpose()?)
    }

    /// A server's instances.
    pub(crate) fn instances(&self, server: ServerId) -> Result<Vec<Instance>, Fault> {
        let server = server.0.as_u128();
        let mut instances = Vec::new();
        for row in self.instances.range((server, u128::MIN)..=(server, u128::MAX)).or_broken()? {
            instances.push(rows::decode("instance", row.or_broken()?.1.value())?);
        }
        Ok(instances)
    }

    pub(crate) fn put_instance(&mut self, instance: &Instance) -> Result<(), Fault> {
        self.wrote = true;
        rows::encode(instance, self.buffer);
        let key = (instance.server_id.0.as_u128(), instance.id.0.as_u128());
        self.instances.insert(key, self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    pub(crate) fn remove_instance(&mut self, instance: &Instance) -> Result<(), Fault> {
        self.wrote = true;
        self.instances.remove((instance.server_id.0.as_u128(), instance.id.0.as_u128())).or_broken()?;
        Ok(())
    }
}
