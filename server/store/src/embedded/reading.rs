//! Reads of single records and of events, on one snapshot each.

use std::collections::BTreeMap;

use claude_comms_model::{Conversation, ConversationId, Event, Instance, RequestId, ServerId, Turn, TurnId};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use uuid::Uuid;

use super::{
    prompts,
    rows::{self, EventRow},
    schema,
};
use crate::{Counts, RequestScope, StoreError};

/// Why a read failed.
#[derive(Debug)]
pub(crate) struct Trouble(StoreError);

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

macro_rules! trouble {
    ($($error:ty),*) => { $(impl From<$error> for Trouble {
        fn from(error: $error) -> Self {
            Self(store_error(error.into()))
        }
    })* };
}
trouble!(redb::Error, redb::StorageError, redb::TableError, redb::TransactionError);

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        trouble.0
    }
}

/// What a failed read means to the caller.
fn store_error(error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::Unavailable(error.to_string())
        }
        other => StoreError::Corrupt(other.to_string()),
    }
}

pub(crate) fn conversation(
    snapshot: &ReadTransaction,
    id: ConversationId,
) -> Result<Option<Conversation>, Trouble> {
    let Some(row) = snapshot.open_table(schema::CONVERSATIONS)?.get(id.0.as_u128())? else { return Ok(None) };
    let mut conversation = rows::decode("conversation", row.value())?;
    prompts::complete_conversation(&mut conversation, &snapshot.open_table(schema::SYSTEM_PROMPTS)?)?;
    Ok(Some(conversation))
}

/// A scene's text.
pub(crate) fn scene(snapshot: &ReadTransaction, digest: &str) -> Result<Option<String>, Trouble> {
    let row = snapshot.open_table(schema::SCENES)?.get(digest)?;
    Ok(row.map(|json| json.value().to_owned()))
}

/// A turn's row, without the texts that it does not hold itself.
fn bare_turn(snapshot: &ReadTransaction, id: TurnId) -> Result<Option<Turn>, Trouble> {
    let Some(row) = snapshot.open_table(schema::TURNS)?.get(id.0.as_u128())? else { return Ok(None) };
    Ok(Some(rows::decode_turn(id.0.as_u128(), row.value())?))
}

/// A turn with all its texts.
pub(crate) fn turn(snapshot: &ReadTransaction, id: TurnId) -> Result<Option<Turn>, Trouble> {
    let Some(mut turn) = bare_turn(snapshot, id)? else { return Ok(None) };
    if prompts::may_be_apart(&turn) {
        prompts::complete_turn(&mut turn, &snapshot.open_table(schema::PROMPTS)?)?;
    }
    let asked = snapshot.open_table(schema::ASKED)?.get(id.0.as_u128())?;
    turn.asked = asked.map(|row| rows::decode("asked row", row.value())).transpose()?;
    Ok(Some(turn))
}

/// The turn that a request made.
pub(crate) fn turn_of_request(
    snapshot: &ReadTransaction,
    scope: RequestScope,
    request: RequestId,
) -> Result<Option<Turn>, Trouble> {
    let (table, scope) = match scope {
        RequestScope::Conversation(id) => (schema::REQUESTS, id.0.as_u128()),
        RequestScope::Pair(pair) => (schema::PAIR_REQUESTS, pair),
    };
    let key = (scope, request.0.as_u128());
    let Some(id) = snapshot.open_table(table)?.get(key)?.map(|id| id.value()) else {
        return Ok(None);
    };
    let id = TurnId(Uuid::from_u128(id));
    let missing = || StoreError::Corrupt(format!("turn {id} of a request is gone"));
    Ok(Some(turn(snapshot, id)?.ok_or_else(missing)?))
}

/// A turn's events: those of its span of the conversation that are about it.
pub(crate) fn turn_events(snapshot: &ReadTransaction, id: TurnId, after: u64) -> Result<Vec<Event>, Trouble> {
    let missing = || StoreError::NotFound { what: "turn", id: id.to_string() };
    let turn = bare_turn(snapshot, id)?.ok_or_else(missing)?;
    let first = turn.first_sequence.max(after.saturating_add(1));
    let mut events = events_between(snapshot, turn.conversation_id, first, turn.last_sequence, usize::MAX)?;
    events.retain(|event| event.turn_id == id);
    Ok(events)
}

/// A conversation's events after a sequence.
pub(crate) fn events(
    snapshot: &ReadTransaction,
    id: ConversationId,
    after: u64,
    limit: usize,
) -> Result<Vec<Event>, Trouble> {
    if snapshot.open_table(schema::CONVERSATIONS)?.get(id.0.as_u128())?.is_none() {
        return Err(StoreError::NotFound { what: "conversation", id: id.to_string() }.into());
    }
    match after.checked_add(1) {
        Some(first) => events_between(snapshot, id, first, u64::MAX, limit),
        None => Ok(Vec::new()),
    }
}

fn events_between(
    snapshot: &ReadTransaction,
    id: ConversationId,
    first: u64,
    last: u64,
    limit: usize,
) -> Result<Vec<Event>, Trouble> {
    if first > last {
        return Ok(Vec::new());
    }
    let table = snapshot.open_table(schema::EVENTS)?;
    let mut events = Vec::new();
    for row in table.range((id.0.as_u128(), first)..=(id.0.as_u128(), last))?.take(limit) {
        let (key, value) = row?;
        let row: EventRow = rows::decode("event", value.value())?;
        events.push(row.event(id, key.value().1));
    }
    Ok(events)
}

/// A server's turns that have not ended, by their places in the queue.
pub(crate) fn unfinished(snapshot: &ReadTransaction, server: ServerId) -> Result<Vec<Turn>, Trouble> {
    let server = server.0.as_u128();
    let mut queue = BTreeMap::new();
    for row in snapshot.open_table(schema::UNFINISHED)?.range((server, u128::MIN)..=(server, u128::MAX))? {
        let (key, value) = row?;
        let id = key.value().1;
        queue.insert((value.value().0, id), id);
    }
    let missing = |id| StoreError::Corrupt(format!("turn {id} of the queue is gone"));
    queue
        .into_values()
        .map(|id| TurnId(Uuid::from_u128(id)))
        .map(|id| Ok(turn(snapshot, id)?.ok_or_else(|| missing(id))?))
        .collect()
}

/// The place after the last one in use.
pub(crate) fn next_place(snapshot: &ReadTransaction) -> Result<i64, redb::Error> {
    let mut next = 0;
    for row in snapshot.open_table(schema::UNFINISHED)?.iter()? {
        next = next.max(row?.1.value().0.saturating_add(1));
    }
    Ok(next)
}

pub(crate) fn instances(snapshot: &ReadTransaction, server: ServerId) -> Result<Vec<Instance>, Trouble> {
    let server = server.0.as_u128();
    let table = snapshot.open_table(schema::INSTANCES)?;
    let mut instances = Vec::new();
    for row in table.range((server, u128::MIN)..=(server, u128::MAX))? {
        instances.push(rows::decode("instance", row?.1.value())?);
    }
    Ok(instances)
}

pub(crate) fn counts(snapshot: &ReadTransaction) -> Result<Counts, Trouble> {
    Ok(Counts {
        conversations: snapshot.open_table(schema::CONVERSATIONS)?.len()?,
        turns: snapshot.open_table(schema::TURNS)?.len()?,
        modules: snapshot.open_table(schema::MODULE_HEADS)?.len()?,
        schema_version: schema::VERSION,
    })
}
