//! Durable events: what happened in a conversation, numbered without gaps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ConversationId, InstanceId, RequestId, Timestamp, TurnId};

/// One durable event of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the conversation; the first is 1, without gaps.
    pub sequence: u64,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The turn it is about.
    pub turn_id: TurnId,
    /// When the store wrote it.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// Why text is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// A provisional answer was begun again.
    Retry,
    /// Text before a tool call is not the answer.
    ToolUse,
    /// The final answer differs from what was streamed.
    Replaced,
    /// The answer's data did not fit its schema; Claude was asked for another one.
    Repair,
}

impl ResetReason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::ToolUse => "tool_use",
            Self::Replaced => "replaced",
            Self::Repair => "repair",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The turn was accepted.
    Accepted {
        /// The request that made it.
        #[serde(rename = "r")]
        request_id: RequestId,
    },
    /// Its prompt goes to a process.
    Started {
        /// The instance.
        #[serde(rename = "i")]
        instance_id: InstanceId,
        /// Which try; 1 for the first.
        #[serde(rename = "n")]
        attempt: u32,
    },
    /// All text so far is void.
    TextReset {
        /// Why.
        reason: ResetReason,
    },
    /// The server tries again: with a new process, or with the message.
    Retrying {
        /// Which retry; 1 for the first.
        attempt: u32,
        /// How many there may be.
        max_attempts: u32,
        /// How long until then.
        delay: Duration,
        /// Why.
        reason: String,
        /// Whether the message is sent again because the API could not take it, not because the process was lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// HTTP status of the call that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        http_status: Option<u16>,
        /// When it is tried, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Claude's memory of the conversation was lost.
    SessionReset {
        /// Why, in words.
        reason: String,
    },
    /// The turn ended with an answer; the turn's record has it.
    Completed,
    /// The turn ended without an answer; the turn's record says why.
    Failed,
    /// The turn was cancelled; the turn's record says why.
    Cancelled,
}

impl EventKind {
    /// Whether the turn has ended with this event.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}
