//! Conversations: the durable record between somebody who asks and Claude who answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ConversationId, ServerId, Timestamp, TurnId, Usage, is_default};

/// Whether a conversation takes turns. That one of them runs is no state of its own: see [`Conversation::running`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationState {
    /// It takes turns.
    Active,
}

/// A conversation's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Title; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// System prompt of every turn; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system_prompt: String,
    /// Model; `None` for the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether it takes turns.
    pub state: ConversationState,
    /// Fencing token: grows whenever another server, or another incarnation of it, takes the conversation. Every write of
    /// a turn names the epoch it was claimed with and is refused when it is not this one.
    pub epoch: u64,
    /// Who claimed it last, and in which incarnation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(ServerId, u64)>,
    /// Its turn that runs: there is one at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<TurnId>,
    /// Turns accepted so far.
    #[serde(rename = "turns", default, skip_serializing_if = "is_default")]
    pub turn_count: u32,
    /// Tokens of its ended turns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// Cost of its ended turns, US dollars.
    #[serde(rename = "cost", default, skip_serializing_if = "is_default")]
    pub cost_usd: f64,
    /// Number of its last event.
    #[serde(rename = "last", default, skip_serializing_if = "is_default")]
    pub last_sequence: u64,
    /// The Claude session that remembers it; `None` before the first turn reached a process.
    #[serde(
        rename = "session",
        default,
        skip_serializing_if = "Option::is_none",
        with = "uuid::serde::simple::option"
    )]
    pub claude_session_id: Option<Uuid>,
    /// The last assistant message of that session: where the next turn goes on, and where a retry forks from.
    #[serde(rename = "assistant", default, skip_serializing_if = "Option::is_none")]
    pub last_assistant_uuid: Option<String>,
    /// When it was made.
    #[serde(rename = "created")]
    pub create_time: Timestamp,
    /// When a turn of it was last accepted, started or ended.
    #[serde(rename = "updated")]
    pub update_time: Timestamp,
}
