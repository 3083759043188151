//! What the server knows, as plain values: ids, records, state machines and events.
//!
//! **Invariant:** no I/O, no async, no clock. Time and fresh ids enter as arguments. Records are serialised by
//! the store as they stand, so that a field added here needs `#[serde(default)]` or a migration there.

pub mod conversation;
pub mod event;
pub mod failure;
pub mod ids;
pub mod instance;
pub mod instance_log;
pub mod module;
pub mod page;
pub mod time;
pub mod token;
pub mod turn;
pub mod usage;

pub use conversation::{Conversation, ConversationState};
pub use event::{Event, EventKind, ResetReason};
pub use failure::{CancelReason, Failure, FailureReason};
pub use ids::{ConversationId, IdMatch, InstanceId, RequestId, ServerId, TurnId};
pub use instance::{Instance, InstanceExit, InstanceState};
pub use instance_log::{LogEvent, LogKind, NewLogEvent};
pub use module::{ModuleRecord, ModuleRef};
pub use page::Page;
pub use time::Timestamp;
pub use token::{TokenRecord, TokenScope};
pub use turn::{Asked, AskedLimits, ClaudeRefs, Transition, Turn, TurnState, TurnStateKind};
pub use usage::Usage;

/// An event arrived that the state cannot take. Logged and counted where it is seen; never a panic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{machine}: {event} is not possible while {state}")]
pub struct IllegalTransition {
    /// Which machine: `turn`, `instance`.
    pub machine: &'static str,
    /// The state it was in.
    pub state: &'static str,
    /// The event it was given.
    pub event: &'static str,
}

/// For fields that rows leave out while they say nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
