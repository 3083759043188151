//! `result`: the end of a turn.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{ParseError, text};

/// `result`: the end of a turn. Judge it by `is_error`, then by `terminal_reason`: API failures have the subtype
/// `success` too.
#[derive(Debug, Clone, Deserialize)]
pub struct TurnResult<'a> {
    /// `success`, `error_during_execution`, `error_max_turns`, `error_max_budget_usd`, ...
    #[serde(borrow, deserialize_with = "text::required")]
    pub subtype: Cow<'a, str>,
    /// Whether the turn failed.
    pub is_error: bool,
    /// Text of the last content block, or of the error; absent for the error subtypes.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub result: Option<Cow<'a, str>>,
    /// Messages of the error subtypes.
    #[serde(default)]
    pub errors: Option<Vec<String>>,
    /// HTTP status of the API's last answer, if that was the failure.
    #[serde(default)]
    pub api_error_status: Option<u16>,
    /// `completed`, `api_error`, `aborted_streaming`, `max_turns`, `budget_exhausted`, ...
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub terminal_reason: Option<Cow<'a, str>>,
    /// Why the last message ended.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub stop_reason: Option<Cow<'a, str>>,
    /// The CLI's session.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub session_id: Option<Cow<'a, str>>,
    /// Tokens of this turn.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// API rounds of this turn; 0 for commands the CLI answered itself.
    #[serde(default)]
    pub num_turns: Option<u32>,
    /// Wall time of this turn, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<f64>,
    /// US dollars, of all turns of the process so far.
    #[serde(default)]
    pub total_cost_usd: Option<f64>,
    /// Tokens and US dollars of each model since the last `result`.
    #[serde(default)]
    pub model_usage_since_last_result: Option<BTreeMap<String, ModelUsage>>,
    /// Id of this line.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub uuid: Option<Cow<'a, str>>,
    /// The user messages this turn answers, of those which had a uuid.
    #[serde(default)]
    pub user_message_uuids: Option<Vec<String>>,
    /// The same, if it is one.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub user_message_uuid: Option<Cow<'a, str>>,
}

/// Tokens of one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prompt tokens, neither written to nor read from the cache.
    pub input_tokens: u64,
    /// Tokens of the answer and of its thinking.
    pub output_tokens: u64,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: u64,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: u64,
}

/// What one model cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ModelUsage {
    /// US dollars.
    #[serde(rename = "costUSD")]
    pub cost_usd: f64,
}

impl<'a> TurnResult<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(line).map_err(|error| ParseError::new("result", &error))
    }
}
