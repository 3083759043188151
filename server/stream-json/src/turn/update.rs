//! What a turn reader tells. These types are owned: they outlive the line they came from.

use std::time::Duration;

use crate::output::{RateLimitInfo, Usage};

/// A step of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnUpdate {
    /// The CLI names itself; at the start of every turn.
    Init {
        /// The CLI's session.
        session_id: String,
        /// The model of this turn.
        model: String,
        /// E.g. `2.1.330`; empty if the CLI did not say.
        cli_version: String,
    },
    /// The model began to answer. If the process dies before this, the turn may be tried again elsewhere.
    OutputBegan,
    /// Drop all text so far. Only sent if there was text.
    Reset {
        /// Why.
        reason: ResetReason,
    },
    /// A message of the model began or ended: what the API counted for it since the last such update. Messages of
    /// subagents are told too; they cost the same.
    Usage {
        /// The model; empty if the CLI did not say.
        model: String,
        /// At the beginning what was read, at the end what was written.
        usage: Usage,
        /// Where in an API round of the turn it is.
        step: MessageStep,
    },
    /// Append this to the answer. Never thinking, never the text of an error.
    Text(String),
    /// The model calls a tool.
    ToolCall {
        /// Id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, as JSON.
        input_json: String,
    },
    /// A tool answered.
    ToolResult {
        /// Id of the call.
        id: String,
        /// Whether the tool failed.
        is_error: bool,
        /// What it gave, as JSON: a string, an array of blocks, or null.
        content_json: String,
    },
    /// A failed API call will be tried again.
    ApiRetry {
        /// Number of the coming try, from 1.
        attempt: u32,
        /// Number of tries before the turn fails.
        max_attempts: u32,
        /// Wait before the coming try.
        delay: Duration,
        /// HTTP status; absent if there was no answer.
        http_status: Option<u16>,
        /// `overloaded`, `rate_limit`, `unknown`, ...
        error: String,
    },
    /// What the API says of the account's limits.
    RateLimit(RateLimitInfo),
    /// The conversation was summed up, to make room in the context.
    Compacted {
        /// `auto` or `manual`; empty if the CLI did not say.
        trigger: String,
        /// Tokens before; 0 if the CLI did not say.
        tokens_before: u64,
        /// Tokens after; 0 if the CLI did not say.
        tokens_after: u64,
    },
    /// Later turns belong to another session.
    SessionReset {
        /// That session.
        new_session_id: String,
    },
    /// The turn is over; nothing follows.
    End(Box<TurnEnd>),
}

/// What a process said although no turn of ours can have caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A result: a second one of a turn, or one of a message that was never sent.
    Result,
    /// Parts of an answer, while no turn ran.
    Output,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStep {
    /// The API began to answer: a round of the turn has begun.
    Begun,
    /// The message has its end.
    Ended {
        /// Whether the backend goes on with another round: the message calls tools, or was cut at its limit.
        goes_on: bool,
    },
    /// The beginning or the end of a message of a subagent, which is no round of the turn.
    Aside,
}

/// Why text is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// The API's stream broke; the message is made anew.
    Retry,
    /// It was said before a tool call, and is no part of the answer.
    ToolUse,
    /// The CLI gave another text instead.
    Replaced,
}

/// The end of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens of this turn.
    pub usage: Usage,
    /// US dollars, of this turn alone.
    pub cost_usd: f64,
    /// The CLI's session; empty if the CLI did not say.
    pub session_id: String,
    /// The line to fork the session at, to have the history up to and with this turn.
    pub last_assistant_uuid: Option<String>,
    /// API rounds of this turn.
    pub num_turns: u32,
    /// Wall time of this turn inside the CLI.
    pub duration: Duration,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The model answered.
    Answer {
        /// The answer: the concatenation of all [`TurnUpdate::Text`] since the last reset.
        text: String,
    },
    /// It failed. The user message stays in the CLI's history.
    Failed {
        /// Why.
        reason: FailureReason,
        /// Status of the API's last answer, if there was one.
        http_status: Option<u16>,
        /// The CLI's text for people.
        message: String,
    },
    /// It was interrupted.
    Aborted,
}

/// Why a turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureReason {
    /// HTTP 401: the key or token is wrong.
    ApiAuthentication,
    /// HTTP 403.
    ApiPermission,
    /// HTTP 404: as a rule, no such model.
    ModelNotFound,
    /// HTTP 429.
    RateLimited,
    /// HTTP 529.
    ApiOverloaded,
    /// Any other HTTP 5xx.
    ApiServerError,
    /// The history does not fit the model's context (HTTP 400 or 413).
    PromptTooLong,
    /// Any other HTTP 4xx.
    ApiInvalidRequest,
    /// No connection to the API.
    ApiUnreachable,
    /// The API did not answer in time.
    ApiTimeout,
    /// The CLI has neither key nor token.
    NotLoggedIn,
    /// The limit of API rounds was reached (`--max-turns`).
    MaxTurns,
    /// The limit of US dollars was reached (`--max-budget-usd`).
    BudgetExceeded,
    /// There is no session to resume.
    SessionNotFound,
    /// Any other failure.
    ExecutionError,
}
