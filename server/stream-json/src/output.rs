//! What the CLI writes to its stdout: one line to one borrowed value. It keeps no state between lines.
//!
//! A `text_delta` is read at its known shape, any other `stream_event` with one `from_str` of flat structs. The rarer kinds
//! are read again with their own struct.
//! Kinds, subtypes and fields which are not known pass through: every release of the CLI adds some.

mod control;
mod delta;
mod event;
mod head;
mod message;
mod result;
mod system;
#[cfg(test)]
mod tests;

pub use control::{ControlRequest, InitializeResponse, InterruptResponse, RequestBody, StatusResponse};
pub use event::{Event, StreamEvent};
pub use head::parse;
pub use message::{Assistant, Block, Content, Message, User};
pub use result::{ModelUsage, TurnResult, Usage};
pub(crate) use system::milliseconds;
pub use system::{
    ApiRetry, CommandLifecycle, CompactBoundary, ConversationReset, Init, ModelFallback, RateLimit,
    RateLimitInfo, SessionState, Status, ThinkingTokens,
};

use std::borrow::Cow;

use crate::ParseError;
pub use crate::control::{Answer, ControlCancel, ControlResponse};

/// One line of the CLI's stdout, borrowed from its text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output<'a> {
    /// `system/init`: at the start of every turn, not once per process.
    Init(Box<Init<'a>>),
    /// `system/status`: `requesting`, or a changed permission mode.
    Status(Status<'a>),
    /// `system/api_retry`: a failed API call will be tried again.
    ApiRetry(ApiRetry<'a>),
    /// `system/model_fallback`: the rest is answered by another model.
    ModelFallback(ModelFallback<'a>),
    /// `system/thinking_tokens`: progress of hidden thinking.
    ThinkingTokens(ThinkingTokens<'a>),
    /// `system/session_state_changed` (only if asked for by the environment).
    SessionState(SessionState<'a>),
    /// `system/compact_boundary`: the history before it was replaced by a summary.
    CompactBoundary(CompactBoundary<'a>),
    /// `stream_event`: a piece of an answer that is still provisional.
    StreamEvent(StreamEvent<'a>),
    /// `assistant`: one finished content block of a message.
    Assistant(Box<Assistant<'a>>),
    /// `user`: tool results, the interrupt notice, or a replayed user message.
    User(Box<User<'a>>),
    /// `result`: the end of a turn, and the only sign of it.
    Result(Box<TurnResult<'a>>),
    /// `control_request` of the CLI to the host: must be answered.
    ControlRequest(ControlRequest<'a>),
    /// `control_response`: the answer to a request of the host.
    ControlResponse(ControlResponse<'a>),
    /// `control_cancel_request`: a request of the CLI must not be answered any more.
    ControlCancel(ControlCancel<'a>),
    /// `command_lifecycle` of a user message that had a uuid.
    CommandLifecycle(CommandLifecycle<'a>),
    /// `rate_limit_event` (OAuth only).
    RateLimit(RateLimit<'a>),
    /// `conversation_reset`: later lines belong to a new session.
    ConversationReset(ConversationReset<'a>),
    /// A kind this crate does not read, or an informational line of a changed shape.
    Unknown(Unknown<'a>),
}

/// A message that is passed through unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its `type`.
    pub kind: Cow<'a, str>,
    /// Its `subtype`, if it has one.
    pub subtype: Option<Cow<'a, str>>,
    /// The whole line.
    pub raw: &'a str,
}

/// [`parse`] for bytes as they come from [`crate::framing::LineSplitter`].
///
/// # Errors
/// [`ParseError::NotUtf8`], and those of [`parse`].
pub fn parse_bytes(line: &[u8]) -> Result<Output<'_>, ParseError> {
    let line = std::str::from_utf8(line)
        .map_err(|error| ParseError::NotUtf8 { valid_up_to: error.valid_up_to() })?;
    parse(line)
}
