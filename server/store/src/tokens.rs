//! What is said to and by a store about tokens. Knows no secret, only its digest.

use claude_comms_model::{Timestamp, TokenRecord};

/// How many tokens may be good at the same time.
pub const TOKENS: usize = 1000;

/// How many tokens that were revoked or have expired are remembered.
pub const ENDED_TOKENS: usize = 200;

/// What became of [`Store::create_token`](crate::Store::create_token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOutcome {
    /// It is kept; one of its name that had ended is forgotten.
    Created,
    /// One of its name is neither revoked nor expired; nothing was written.
    Taken(Box<TokenRecord>),
    /// [`TOKENS`] are good already; nothing was written.
    Full,
}

/// A token's use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// Its name.
    pub name: String,
    /// Its digest: the name may be another's by now.
    pub digest: String,
    /// When.
    pub time: Timestamp,
}
