//! Tokens as records: who may call over TCP, how far, and until when. The secret itself is in no record.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How far a token reaches. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Seeing what there is.
    Read,
    /// Asking Claude too.
    Query,
    /// Everything.
    Admin,
}

impl TokenScope {
    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Query => "query",
            Self::Admin => "admin",
        }
    }
}

/// A named token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its name.
    pub name: String,
    /// How far it reaches.
    pub scope: TokenScope,
    /// SHA-256 of the secret, hexadecimal.
    pub digest: String,
    /// When it was made.
    #[serde(rename = "created")]
    pub create_time: Timestamp,
    /// When it ends by itself; `None` for never.
    #[serde(rename = "expires", default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<Timestamp>,
    /// When it was revoked.
    #[serde(rename = "revoked", default, skip_serializing_if = "Option::is_none")]
    pub revoke_time: Option<Timestamp>,
    /// When it was last used, to about a minute.
    #[serde(rename = "used", default, skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<Timestamp>,
}

impl TokenRecord {
    /// When it ended: revoked or expired, whichever was first. `None` while it is good.
    pub fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let expired = self.expire_time.filter(|end| *end <= now);
        self.revoke_time.into_iter().chain(expired).min()
    }
}
