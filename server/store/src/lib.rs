//! Durable records behind the [`Store`] trait, and redb behind that.
//!
//! **Invariants:** each mutation is one atomic domain operation; a turn has one door to a terminal state
//! ([`Store::finish_turn`]); the conversation's `epoch` and the turn's `attempt` are compared inside the write.
//! No prost, no gRPC and no redb type appears here; no path, port or host in a record.

pub mod api;
mod embedded;
pub mod error;
pub mod queries;
pub mod registry;
pub mod tokens;

pub use api::{
    AcceptOutcome, AcceptTurn, Accepted, Counts, FinishTurn, Finished, Lease, NewConversation, RequestScope,
    STOPPED_INSTANCES, Scene, ServerIdentity, StartTurn, Started, Store, UpgradeConversation, UpgradeOutcome,
};
pub use embedded::{Commit, Observer, Options, RedbStore, inspect};
pub use error::{OpenError, StoreError};
pub use queries::{ConversationQuery, TurnQuery};
pub use registry::{MODULE_REVISIONS, ModuleRevisionInfo, RegisterModule, RegisterOutcome};
pub use tokens::{ENDED_TOKENS, TOKENS, TokenOutcome, TokenUse};
