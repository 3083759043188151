//! The informational lines: everything of `type: "system"`, and the small kinds beside it.
//! A line here whose shape changed is passed through as unknown, never an error.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Output;
use crate::text;

/// `system/init`.
#[derive(Debug, Clone, Deserialize)]
pub struct Init<'a> {
    /// The CLI's session.
    #[serde(borrow, deserialize_with = "text::required")]
    pub session_id: Cow<'a, str>,
    /// The model of this turn.
    #[serde(borrow, deserialize_with = "text::required")]
    pub model: Cow<'a, str>,
    /// E.g. `2.1.330`.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub claude_code_version: Option<Cow<'a, str>>,
    /// Working directory.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub cwd: Option<Cow<'a, str>>,
    /// `ANTHROPIC_API_KEY`, `none`, ...
    #[serde(rename = "apiKeySource", default, borrow, deserialize_with = "text::optional")]
    pub api_key_source: Option<Cow<'a, str>>,
    /// Names of the tools the model is offered.
    #[serde(default)]
    pub tools: Vec<String>,
    /// What this release of the CLI can do, e.g. `interrupt_receipt_v1`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The MCP servers and their states, as they came.
    #[serde(default, borrow)]
    pub mcp_servers: Option<&'a RawValue>,
}

/// `system/status`.
#[derive(Debug, Clone, Deserialize)]
pub struct Status<'a> {
    /// `requesting`, `compacting`, or null.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub status: Option<Cow<'a, str>>,
    /// The permission mode, if it changed.
    #[serde(rename = "permissionMode", default, borrow, deserialize_with = "text::optional")]
    pub permission_mode: Option<Cow<'a, str>>,
}

/// `system/api_retry`.
#[derive(Debug, Clone, Deserialize)]
pub struct ApiRetry<'a> {
    /// Number of the coming try, from 1.
    pub attempt: u32,
    /// Number of tries before the turn fails.
    pub max_retries: u32,
    /// Wait before the coming try, in milliseconds.
    #[serde(default)]
    pub retry_delay_ms: Option<f64>,
    /// HTTP status; absent if there was no answer.
    #[serde(default)]
    pub error_status: Option<u16>,
    /// `overloaded`, `rate_limit`, `authentication_failed`, `server_error`, `unknown`, ...
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub error: Option<Cow<'a, str>>,
}

impl ApiRetry<'_> {
    /// Wait before the coming try.
    pub fn delay(&self) -> Duration {
        milliseconds(self.retry_delay_ms)
    }
}

/// `system/model_fallback`.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelFallback<'a> {
    /// Why, e.g. `overloaded`.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub trigger: Option<Cow<'a, str>>,
    /// The model asked for.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub original_model: Option<Cow<'a, str>>,
    /// The model that answers.
    #[serde(borrow, deserialize_with = "text::required")]
    pub fallback_model: Cow<'a, str>,
}

/// `system/thinking_tokens`.
#[derive(Debug, Clone, Deserialize)]
pub struct ThinkingTokens<'a> {
    /// Thinking tokens of the message so far, estimated.
    pub estimated_tokens: u64,
    /// The user message that is thought about.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub user_message_uuid: Option<Cow<'a, str>>,
}

/// `system/session_state_changed`.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionState<'a> {
    /// `running` or `idle`.
    #[serde(borrow, deserialize_with = "text::required")]
    pub state: Cow<'a, str>,
}

/// `system/compact_boundary`.
#[derive(Debug, Clone, Deserialize)]
pub struct CompactBoundary<'a> {
    /// Trigger and token counts, as they came.
    #[serde(default, borrow)]
    pub compact_metadata: Option<&'a RawValue>,
}

impl CompactBoundary<'_> {
    /// The trigger, and the tokens before and after; empty and 0 where they are not said.
    pub fn read(&self) -> (String, u64, u64) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Metadata {
            trigger: Option<String>,
            pre_tokens: Option<u64>,
            post_tokens: Option<u64>,
        }
        let metadata: Metadata =
            self.compact_metadata.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let tokens = |count: Option<u64>| count.unwrap_or(0);
        (metadata.trigger.unwrap_or_default(), tokens(metadata.pre_tokens), tokens(metadata.post_tokens))
    }
}

/// `command_lifecycle`.
#[derive(Debug, Clone, Deserialize)]
pub struct CommandLifecycle<'a> {
    /// The user message.
    #[serde(borrow, deserialize_with = "text::required")]
    pub command_uuid: Cow<'a, str>,
    /// `queued`, `started`, `completed` or `cancelled`.
    #[serde(borrow, deserialize_with = "text::required")]
    pub state: Cow<'a, str>,
}

/// `rate_limit_event`.
#[derive(Debug, Clone, Deserialize)]
pub struct RateLimit<'a> {
    /// Status and times, as they came.
    #[serde(borrow)]
    pub rate_limit_info: &'a RawValue,
}

/// A limit of the account, as the API's headers told it (CLI 2.1.330; with an OAuth login only).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitInfo {
    /// `allowed`, `allowed_warning`, `rejected`.
    pub status: String,
    /// When it is lifted, seconds since 1970.
    #[serde(default)]
    pub resets_at: Option<u64>,
    /// Which limit: `five_hour`, `seven_day`, ...
    #[serde(default)]
    pub rate_limit_type: Option<String>,
    /// Whether the account goes on beyond its limit, at a price.
    #[serde(default)]
    pub is_using_overage: bool,
}

impl RateLimit<'_> {
    /// What it says; `None` if its shape has changed.
    pub fn read(&self) -> Option<RateLimitInfo> {
        serde_json::from_str(self.rate_limit_info.get()).ok()
    }
}

/// `conversation_reset`.
#[derive(Debug, Clone, Deserialize)]
pub struct ConversationReset<'a> {
    /// The session of the lines to come.
    #[serde(borrow, deserialize_with = "text::required")]
    pub new_conversation_id: Cow<'a, str>,
    /// Why, e.g. `clear`.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub trigger: Option<Cow<'a, str>>,
}

/// Milliseconds as the CLI writes them; nonsense (negative, not finite, beyond a century) is zero.
pub(crate) fn milliseconds(value: Option<f64>) -> Duration {
    let milliseconds = value.filter(|ms| (0.0..4e12).contains(ms)).unwrap_or(0.0);
    Duration::from_secs_f64(milliseconds / 1000.0)
}

/// The message, if its kind is known and its shape is as expected.
pub(super) fn parse<'a>(kind: &str, subtype: Option<&str>, line: &'a str) -> Option<Output<'a>> {
    fn read<'a, T: Deserialize<'a>>(line: &'a str) -> Option<T> {
        serde_json::from_str(line).ok()
    }
    match (kind, subtype) {
        ("system", Some("init")) => read(line).map(|init| Output::Init(Box::new(init))),
        ("system", Some("status")) => read(line).map(Output::Status),
        ("system", Some("api_retry")) => read(line).map(Output::ApiRetry),
        ("system", Some("model_fallback")) => read(line).map(Output::ModelFallback),
        ("system", Some("thinking_tokens")) => read(line).map(Output::ThinkingTokens),
        ("system", Some("session_state_changed")) => read(line).map(Output::SessionState),
        ("system", Some("compact_boundary")) => read(line).map(Output::CompactBoundary),
        ("command_lifecycle", _) => read(line).map(Output::CommandLifecycle),
        ("rate_limit_event", _) => read(line).map(Output::RateLimit),
        ("conversation_reset", _) => read(line).map(Output::ConversationReset),
        _ => None,
    }
}
