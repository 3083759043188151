//! Tokens.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::is_default;

/// Tokens of a turn, or a sum over turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read afresh.
    #[serde(rename = "i", default, skip_serializing_if = "is_default")]
    pub input_tokens: u64,
    /// Tokens written by Claude.
    #[serde(rename = "o", default, skip_serializing_if = "is_default")]
    pub output_tokens: u64,
    /// Tokens written to the prompt cache.
    #[serde(rename = "cc", default, skip_serializing_if = "is_default")]
    pub cache_creation_input_tokens: u64,
    /// Tokens read from the prompt cache.
    #[serde(rename = "cr", default, skip_serializing_if = "is_default")]
    pub cache_read_input_tokens: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_creation_input_tokens =
            self.cache_creation_input_tokens.saturating_add(other.cache_creation_input_tokens);
        self.cache_read_input_tokens =
            self.cache_read_input_tokens.saturating_add(other.cache_read_input_tokens);
    }
}
