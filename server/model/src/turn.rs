//! Turns: one prompt up to its one terminal record.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    CancelReason, ConversationId, Failure, FailureReason, IllegalTransition, InstanceId, RequestId, ServerId,
    Timestamp, TurnId, Usage, is_default,
};

/// Where a turn is in its life. What belongs to a state lives inside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Durable; waits for its conversation or for a process.
    Queued,
    /// Its prompt is with a process of `instance_id`.
    Running {
        /// Where it runs.
        instance_id: InstanceId,
    },
    /// Ended with an answer.
    #[serde(rename = "ok")]
    Completed {
        /// The whole answer.
        #[serde(rename = "t")]
        text: String,
        /// The data that was demanded: the exact JSON text that the answer holds.
        #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
        data_json: Option<String>,
    },
    /// Ended without one.
    Failed {
        /// Why.
        failure: Failure<FailureReason>,
        /// What had been streamed; never an answer.
        partial_text: String,
    },
    /// Ended because somebody asked for it.
    Cancelled {
        /// Why.
        failure: Failure<CancelReason>,
        /// What had been streamed; never an answer.
        partial_text: String,
    },
}

/// A state without its data, for filters and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnStateKind {
    /// [`TurnState::Queued`].
    Queued,
    /// [`TurnState::Running`].
    Running,
    /// [`TurnState::Completed`].
    Completed,
    /// [`TurnState::Failed`].
    Failed,
    /// [`TurnState::Cancelled`].
    Cancelled,
}

impl TurnStateKind {
    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether the state is final.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What moves a turn from state to state.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// Its prompt goes to a process.
    Start {
        /// Of this instance.
        instance_id: InstanceId,
    },
    /// The process died before it began to answer; the turn is tried again.
    Requeue,
    /// The answer is there.
    Complete {
        /// The whole answer.
        text: String,
        /// The data that was demanded, as JSON text.
        data_json: Option<String>,
    },
    /// It ends without an answer.
    Fail {
        /// Why.
        failure: Failure<FailureReason>,
        /// What had been streamed.
        partial_text: String,
    },
    /// Somebody asked for its end.
    Cancel {
        /// Why.
        failure: Failure<CancelReason>,
        /// What had been streamed.
        partial_text: String,
    },
}

impl Transition {
    /// The same end, with what had been streamed; other transitions stay as they are.
    #[must_use]
    pub fn with_partial(self, partial_text: String) -> Self {
        match self {
            Self::Fail { failure, .. } => Self::Fail { failure, partial_text },
            Self::Cancel { failure, .. } => Self::Cancel { failure, partial_text },
            other => other,
        }
    }

    /// The same failed end for another reason; other transitions stay as they are.
    #[must_use]
    pub fn failed_for(self, failure: Failure<FailureReason>) -> Self {
        match self {
            Self::Fail { partial_text, .. } => Self::Fail { failure, partial_text },
            other => other,
        }
    }

    /// The transition's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Requeue => "requeue",
            Self::Complete { .. } => "complete",
            Self::Fail { .. } => "fail",
            Self::Cancel { .. } => "cancel",
        }
    }
}

impl TurnState {
    /// The state without its data.
    pub fn kind(&self) -> TurnStateKind {
        match self {
            Self::Queued => TurnStateKind::Queued,
            Self::Running { .. } => TurnStateKind::Running,
            Self::Completed { .. } => TurnStateKind::Completed,
            Self::Failed { .. } => TurnStateKind::Failed,
            Self::Cancelled { .. } => TurnStateKind::Cancelled,
        }
    }

    /// The state after a transition.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the machine has no such way; terminal states have none at all.
    pub fn next(self, transition: Transition) -> Result<Self, IllegalTransition> {
        let refused =
            IllegalTransition { machine: "turn", state: self.kind().as_str(), event: transition.name() };
        match (self, transition) {
            (Self::Queued, Transition::Start { instance_id }) => Ok(Self::Running { instance_id }),
            (Self::Running { .. }, Transition::Requeue) => Ok(Self::Queued),
            (Self::Running { .. }, Transition::Complete { text, data_json }) => {
                Ok(Self::Completed { text, data_json })
            }
            (Self::Queued | Self::Running { .. }, Transition::Fail { failure, partial_text }) => {
                Ok(Self::Failed { failure, partial_text })
            }
            (Self::Queued | Self::Running { .. }, Transition::Cancel { failure, partial_text }) => {
                Ok(Self::Cancelled { failure, partial_text })
            }
            _ => Err(refused),
        }
    }
}

/// The turn's place in Claude's own session: what resuming, forking and reconciling need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaudeRefs {
    /// The Claude session it ran in.
    #[serde(
        rename = "s",
        default,
        skip_serializing_if = "Option::is_none",
        with = "uuid::serde::simple::option"
    )]
    pub session_id: Option<Uuid>,
    /// The uuid its prompt had there, that of the last attempt.
    #[serde(
        rename = "u",
        default,
        skip_serializing_if = "Option::is_none",
        with = "uuid::serde::simple::option"
    )]
    pub user_uuid: Option<Uuid>,
    /// The uuid of the message that asked for data that fits, if one was sent; that of the last attempt.
    #[serde(
        rename = "p",
        default,
        skip_serializing_if = "Option::is_none",
        with = "uuid::serde::simple::option"
    )]
    pub repair_uuid: Option<Uuid>,
    /// The last assistant message it left there.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub last_assistant_uuid: Option<String>,
}

/// What a template made of a turn's prompt, and what was demanded of its answer. Written once, in a row of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Asked {
    /// The message that Claude gets in place of the prompt.
    #[serde(rename = "m")]
    pub message: String,
    /// The template and its version, `query@1.0.0`; empty for none.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// The capability that was named; empty for none.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub capability: String,
    /// The schema that the answer's data must fit, as JSON text; `None` where no data is demanded.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<String>,
    /// What its module allows.
    #[serde(rename = "l", default, skip_serializing_if = "is_default")]
    pub limits: AskedLimits,
}

/// What the module that answers allows for one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AskedLimits {
    /// Most rounds of the API.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// Most cost, in billionths of a US dollar.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub budget_nano_usd: Option<u64>,
}

/// A turn's record. Its fields have short names in its row: of small turns three then share a page
/// of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its id. Not in its row, whose key it is.
    #[serde(skip, default = "no_id")]
    pub id: TurnId,
    /// Its conversation.
    #[serde(rename = "c")]
    pub conversation_id: ConversationId,
    /// The request that made it; unique in the conversation.
    #[serde(rename = "r")]
    pub request_id: RequestId,
    /// SHA-256 of the request's payload, in hexadecimal: the same `request_id` with another payload is refused.
    #[serde(rename = "h")]
    pub payload_hash: String,
    /// The prompt, unchanged.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// What was made of the prompt, where a template or a schema was used. Not in its row but in one of its own; who
    /// reads one record by its id gets it, lists leave it out.
    #[serde(skip)]
    pub asked: Option<Box<Asked>>,
    /// Where it is in its life.
    #[serde(rename = "s")]
    pub state: TurnState,
    /// Which try; 0 before the first start. Events of an older one are dropped.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    pub attempt: u32,
    /// The epoch of the conversation under which it runs or ran.
    #[serde(rename = "e", default, skip_serializing_if = "is_default")]
    pub epoch: u64,
    /// The server that accepted it.
    #[serde(rename = "o")]
    pub server_id: ServerId,
    /// That server's incarnation when it was last accepted or started.
    #[serde(rename = "v")]
    pub incarnation: u64,
    /// The instance that must run it, for prompts sent to an instance.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub target_instance: Option<InstanceId>,
    /// The instance that runs or ran it.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// How long it may take from its acceptance on, time in the queue included, in microseconds.
    #[serde(rename = "t")]
    pub timeout_micros: u64,
    /// Whether Claude remembers the prompt in later turns.
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub in_context: bool,
    /// Its place in Claude's session.
    #[serde(rename = "k", default, skip_serializing_if = "is_default")]
    pub claude: ClaudeRefs,
    /// Tokens of it alone.
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// Cost of it alone, US dollars.
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    pub cost_usd: f64,
    /// Sequence of its `accepted` event.
    #[serde(rename = "f")]
    pub first_sequence: u64,
    /// Sequence of its last event so far.
    #[serde(rename = "l")]
    pub last_sequence: u64,
    /// When it was accepted.
    #[serde(rename = "0")]
    pub create_time: Timestamp,
    /// When its prompt was last given to a process.
    #[serde(rename = "1", default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// When the first text of the last attempt arrived.
    #[serde(rename = "2", default, skip_serializing_if = "Option::is_none")]
    pub first_token_time: Option<Timestamp>,
    /// When it ended.
    #[serde(rename = "3", default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
}

fn no_id() -> TurnId {
    TurnId(Uuid::nil())
}

impl Turn {
    /// When its time is up.
    pub fn deadline(&self) -> Timestamp {
        self.create_time.plus(std::time::Duration::from_micros(self.timeout_micros))
    }

    /// What Claude is sent: the rendered message, or the prompt as it is.
    pub fn message(&self) -> &str {
        self.asked.as_ref().map_or(&self.prompt, |asked| &asked.message)
    }

    /// The text a watcher is shown: the answer, or what had been streamed.
    pub fn shown_text(&self) -> &str {
        match &self.state {
            TurnState::Queued | TurnState::Running { .. } => "",
            TurnState::Completed { text, .. } => text,
            TurnState::Failed { partial_text, .. } | TurnState::Cancelled { partial_text, .. } => {
                partial_text
            }
        }
    }
}
