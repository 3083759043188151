//! Conversations: the durable record between somebody who asks and Claude who answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ConversationId, ModuleRef, ServerId, Timestamp, TurnId, Usage, is_default};

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
    /// The module that asks; `None` for a person.
    #[serde(rename = "from", default, skip_serializing_if = "Option::is_none")]
    pub source_module: Option<ModuleRef>,
    /// The module that Claude speaks for; `None` for a conversation with Claude alone.
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub target_module: Option<ModuleRef>,
    /// SHA-256 of the scene that its prompts are made of, hexadecimal; empty for a conversation without modules.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scene: String,
    /// How often its scene, and with it its system prompt, was replaced. A process that was told an older one must not
    /// take its turns.
    #[serde(rename = "upgrades", default, skip_serializing_if = "is_default")]
    pub scene_revision: u32,
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

impl Conversation {
    /// A conversation that nothing was said in yet.
    pub fn new(id: ConversationId, now: Timestamp) -> Self {
        Self {
            id,
            title: String::new(),
            system_prompt: String::new(),
            model: None,
            labels: BTreeMap::new(),
            source_module: None,
            target_module: None,
            scene: String::new(),
            scene_revision: 0,
            state: ConversationState::Active,
            epoch: 0,
            owner: None,
            running: None,
            turn_count: 0,
            usage: Usage::default(),
            cost_usd: 0.0,
            last_sequence: 0,
            claude_session_id: None,
            last_assistant_uuid: None,
            create_time: now,
            update_time: now,
        }
    }
}
