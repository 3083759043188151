//! How records become rows: JSON, so that a person can read them (with the short names at the
//! records' fields beside it) and a new field needs `#[serde(default)]` only.

use claude_comms_model::{ConversationId, Event, EventKind, Timestamp, Turn, TurnId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::StoreError;

/// An event without what its key says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventRow {
    /// The turn it is about.
    #[serde(rename = "t")]
    pub(crate) turn: TurnId,
    /// When the store wrote it.
    #[serde(rename = "at")]
    pub(crate) time: Timestamp,
    /// What happened.
    #[serde(rename = "k")]
    pub(crate) kind: EventKind,
}

impl EventRow {
    /// The event under a key.
    pub(crate) fn event(self, conversation_id: ConversationId, sequence: u64) -> Event {
        Event { sequence, conversation_id, turn_id: self.turn, time: self.time, kind: self.kind }
    }
}

/// Writes a record as a row into `buffer`, whose old content goes.
pub(crate) fn encode<T: Serialize>(record: &T, buffer: &mut Vec<u8>) {
    buffer.clear();
    serde_json::to_writer(buffer, record).expect("records have text keys and go to memory");
}

/// Reads a row.
///
/// # Errors
/// [`StoreError::Corrupt`] with the kind of record when it is none.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, row: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(row)
        .map_err(|error| StoreError::Corrupt(format!("a {what} cannot be read: {error}")))
}

/// Reads a turn's row, which leaves out what its key says.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is none.
pub(crate) fn decode_turn(id: u128, row: &[u8]) -> Result<Turn, StoreError> {
    let turn: Turn = decode("turn", row)?;
    Ok(Turn { id: TurnId(Uuid::from_u128(id)), ..turn })
}

/// A cost as a row can hold it: JSON has no infinities, and one would make the record unreadable for good.
pub(crate) fn storable(cost_usd: f64) -> f64 {
    if cost_usd.is_finite() { cost_usd } else { 0.0 }
}

/// Two costs together, as a row can hold it.
pub(crate) fn sum(cost_usd: f64, more: f64) -> f64 {
    (cost_usd + more).clamp(f64::MIN, f64::MAX)
}
