//! What happened to an instance, numbered without gaps: the durable part of what a watcher of it sees.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ConversationId, InstanceExit, InstanceId, InstanceState, Timestamp, Turn, TurnId, TurnState,
    TurnStateKind, Usage,
};

/// Something that happened to an instance and has no number yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLogEvent {
    /// The instance.
    pub instance_id: InstanceId,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub kind: LogKind,
}

/// One durable event of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEvent {
    /// Its number among the instance's; the first is 1, without gaps.
    pub sequence: u64,
    /// The instance.
    pub instance_id: InstanceId,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub kind: LogKind,
}

/// What happens to instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// It does something else now.
    #[serde(rename = "s")]
    StateChanged {
        /// What it does.
        #[serde(rename = "n")]
        state: InstanceState,
        /// What it did; `None` for the first, and when the server that knew was another run.
        #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
        previous: Option<InstanceState>,
    },
    /// It has a process.
    ProcessStarted {
        /// The CLI's own process id.
        process_id: u32,
        /// Which of its processes; 1 for the first.
        generation: u32,
    },
    /// Its process is gone.
    ProcessExited(InstanceExit),
    /// A turn's prompt goes to its process.
    #[serde(rename = "b")]
    TurnStarted {
        /// The turn.
        #[serde(rename = "t")]
        turn_id: TurnId,
        /// Its conversation.
        #[serde(rename = "c")]
        conversation_id: ConversationId,
        /// Which try; 1 for the first.
        #[serde(rename = "n")]
        attempt: u32,
    },
    /// A turn that it ran has its terminal record.
    #[serde(rename = "e")]
    TurnEnded {
        /// The turn.
        #[serde(rename = "t")]
        turn_id: TurnId,
        /// How it ended.
        #[serde(rename = "s")]
        state: TurnStateKind,
        /// Why, unless it was completed.
        #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// Its tokens.
        #[serde(rename = "u", default, skip_serializing_if = "crate::is_default")]
        usage: Usage,
        /// Its cost, US dollars.
        #[serde(rename = "d", default, skip_serializing_if = "crate::is_default")]
        cost_usd: f64,
        /// From its acceptance to its end.
        #[serde(rename = "l")]
        duration: Duration,
    },
}

impl LogKind {
    /// The end of a turn; `None` for one that has not ended.
    pub fn of_ended(turn: &Turn) -> Option<Self> {
        let reason = match &turn.state {
            TurnState::Queued | TurnState::Running { .. } => return None,
            TurnState::Completed { .. } => String::new(),
            TurnState::Failed { failure, .. } => failure.reason.as_str().to_owned(),
            TurnState::Cancelled { failure, .. } => failure.reason.as_str().to_owned(),
        };
        let end = turn.end_time.unwrap_or(turn.create_time);
        Some(Self::TurnEnded {
            turn_id: turn.id,
            state: turn.state.kind(),
            reason,
            usage: turn.usage,
            cost_usd: if turn.cost_usd.is_finite() { turn.cost_usd } else { 0.0 },
            duration: end.since(turn.create_time),
        })
    }

    /// Whether nothing can happen to the instance after this.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::StateChanged { state: InstanceState::Stopped, .. })
    }
}
