//! Events of a turn as the client gives them out. Plain data; order and wholeness are `progress`'s.

use prost_types::Timestamp;

use crate::{Error, v1};

/// Something that happened in a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEvent {
    /// Number of the last durable event of the conversation at this point.
    pub sequence: u64,
    /// The turn.
    pub turn_id: String,
    /// When it happened, by the server's clock.
    pub time: Option<Timestamp>,
    /// What happened.
    pub update: TurnUpdate,
}

/// What happened in a turn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TurnUpdate {
    /// The turn is durable.
    Accepted {
        /// The conversation it belongs to.
        conversation_id: String,
        /// The request's UUID.
        request_id: String,
    },
    /// It waits.
    Queued {
        /// So many turns of its conversation are before it; 0: it is the next one and waits for a process.
        position: u32,
        /// So many turns of other conversations get a process before it, as the queue stands.
        ahead: u32,
        /// What it waits for, in the contract's words; empty from servers that do not say.
        waits_for: String,
    },
    /// Its prompt goes to a process.
    Started {
        /// The instance that runs it.
        instance_id: String,
        /// Which try this is; 1 for the first.
        attempt: u32,
    },
    /// More of the answer; provisional until `Completed`.
    Text {
        /// Its place in UTF-8 bytes since the last `Reset`; pieces join without hole or overlap.
        offset: u64,
        /// The piece; never empty.
        text: String,
    },
    /// All text so far is void; what follows starts at offset 0.
    Reset {
        /// `retry`, `tool_use`, `replaced`, or `repair`: the data did not fit its schema and Claude was asked again.
        reason: String,
    },
    /// Claude calls a tool.
    ToolCall(v1::ToolCall),
    /// A tool answered.
    ToolResult(v1::ToolResult),
    /// Something is tried again.
    Retrying(v1::TurnRetrying),
    /// The conversation was summed up to make room. Live.
    ContextCompacted(v1::ContextCompacted),
    /// Claude's memory of the conversation was lost and starts anew.
    SessionReset {
        /// Why, in words.
        reason: String,
    },
    /// Ended with an answer. Last.
    Completed(Box<v1::Turn>),
    /// Ended without an answer. Last.
    Failed(Box<v1::Turn>),
    /// Cancelled. Last.
    Cancelled(Box<v1::Turn>),
}

impl TurnUpdate {
    /// The terminal record, when this is the last event.
    pub fn terminal(&self) -> Option<&v1::Turn> {
        match self {
            Self::Completed(turn) | Self::Failed(turn) | Self::Cancelled(turn) => Some(turn),
            _ => None,
        }
    }

    /// Reads the contract's event; `None` for a kind that this client does not know.
    pub(crate) fn from_proto(event: v1::turn_event::Event) -> Option<Self> {
        use v1::turn_event::Event;
        Some(match event {
            Event::Accepted(e) => {
                Self::Accepted { conversation_id: e.conversation_id, request_id: e.request_id }
            }
            Event::Queued(e) => Self::Queued { position: e.position, ahead: e.ahead, waits_for: e.waits_for },
            Event::Started(e) => Self::Started { instance_id: e.instance_id, attempt: e.attempt },
            Event::TextDelta(e) => Self::Text { offset: e.offset, text: e.text },
            Event::TextReset(e) => Self::Reset { reason: e.reason },
            Event::ToolCall(e) => Self::ToolCall(e),
            Event::ToolResult(e) => Self::ToolResult(e),
            Event::Retrying(e) => Self::Retrying(e),
            Event::ContextCompacted(e) => Self::ContextCompacted(e),
            Event::SessionReset(e) => Self::SessionReset { reason: e.reason },
            Event::Completed(e) => Self::Completed(Box::new(e.turn?)),
            Event::Failed(e) => Self::Failed(Box::new(e.turn?)),
            Event::Cancelled(e) => Self::Cancelled(Box::new(e.turn?)),
        })
    }
}

/// Something that happened in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationEvent {
    /// Number of the last durable event of the conversation at this point: where a later watch may go on.
    pub sequence: u64,
    /// The conversation.
    pub conversation_id: String,
    /// What happened in which of its turns.
    pub turn: TurnEvent,
}

/// The event in the contract's words, as `--output json` prints it.
impl From<ConversationEvent> for v1::ConversationEvent {
    fn from(event: ConversationEvent) -> Self {
        let ConversationEvent { sequence, conversation_id, turn } = event;
        let (time, event) = (turn.time, Some(v1::conversation_event::Event::Turn(turn.into())));
        Self { sequence, conversation_id, time, event }
    }
}

/// The event in the contract's words, as `--output json` prints it.
impl From<TurnEvent> for v1::TurnEvent {
    fn from(event: TurnEvent) -> Self {
        use v1::turn_event::Event;
        let kind = match event.update {
            TurnUpdate::Accepted { conversation_id, request_id } => {
                Event::Accepted(v1::TurnAccepted { conversation_id, request_id })
            }
            TurnUpdate::Queued { position, ahead, waits_for } => {
                Event::Queued(v1::TurnQueued { position, ahead, waits_for })
            }
            TurnUpdate::Started { instance_id, attempt } => {
                Event::Started(v1::TurnStarted { instance_id, attempt })
            }
            TurnUpdate::Text { offset, text } => Event::TextDelta(v1::TextDelta { offset, text }),
            TurnUpdate::Reset { reason } => Event::TextReset(v1::TextReset { reason }),
            TurnUpdate::ToolCall(call) => Event::ToolCall(call),
            TurnUpdate::ToolResult(result) => Event::ToolResult(result),
            TurnUpdate::Retrying(retrying) => Event::Retrying(retrying),
            TurnUpdate::ContextCompacted(compacted) => Event::ContextCompacted(compacted),
            TurnUpdate::SessionReset { reason } => Event::SessionReset(v1::SessionReset { reason }),
            TurnUpdate::Completed(turn) => Event::Completed(v1::TurnCompleted { turn: Some(*turn) }),
            TurnUpdate::Failed(turn) => Event::Failed(v1::TurnFailed { turn: Some(*turn) }),
            TurnUpdate::Cancelled(turn) => Event::Cancelled(v1::TurnCancelled { turn: Some(*turn) }),
        };
        Self { sequence: event.sequence, turn_id: event.turn_id, time: event.time, event: Some(kind) }
    }
}

/// A turn that has ended, with the whole text that was streamed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The terminal record; its own `text` may be cut.
    pub turn: v1::Turn,
    /// The whole text since the last reset: the answer of a COMPLETED turn, a fragment of any other.
    pub text: String,
}

impl Answer {
    /// Makes an error of a turn that FAILED or was CANCELLED.
    ///
    /// # Errors
    /// [`Error::TurnFailed`].
    pub fn into_result(self) -> Result<Self, Error> {
        if self.turn.state() == v1::TurnState::Completed {
            Ok(self)
        } else {
            Err(Error::TurnFailed { turn: Box::new(self.turn) })
        }
    }
}
