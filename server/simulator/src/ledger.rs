//! What the simulated model would have cost: tokens guessed from characters,
//! prices of a middling model. Totals are the process's, as in the real CLI's
//! `total_cost_usd` and `modelUsage`; one turn's figures are the turn's.

use serde_json::{Value, json};

const CHARS_PER_TOKEN: usize = 4;
const USD_PER_INPUT_TOKEN: f64 = 3e-6;
const USD_PER_OUTPUT_TOKEN: f64 = 15e-6;

/// Tokens of one call or of several.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Tokens {
    /// Guessed from the characters said so far and the characters answered.
    pub(crate) fn of(input_chars: usize, output_chars: usize) -> Self {
        let tokens = |chars: usize| chars.div_ceil(CHARS_PER_TOKEN) as u64;
        Self { input: tokens(input_chars), output: tokens(output_chars) }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
    }

    fn cost_usd(self) -> f64 {
        self.input as f64 * USD_PER_INPUT_TOKEN + self.output as f64 * USD_PER_OUTPUT_TOKEN
    }

    /// The `usage` object of a message or result.
    pub(crate) fn usage(self) -> Value {
        json!({
            "input_tokens": self.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": self.output, "service_tier": "standard",
        })
    }

    /// The `modelUsage` object with this model alone.
    pub(crate) fn model_usage(self, model: &str) -> Value {
        json!({ model: {
            "inputTokens": self.input, "outputTokens": self.output, "cacheReadInputTokens": 0,
            "cacheCreationInputTokens": 0, "webSearchRequests": 0, "costUSD": self.cost_usd(),
            "contextWindow": 200_000, "maxOutputTokens": 32_000,
        }})
    }
}

/// The process's totals.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) total: Tokens,
    pub(crate) api_ms: u64,
}

impl Ledger {
    /// Adds a turn.
    pub(crate) fn add(&mut self, turn: Tokens, api_ms: u64) {
        self.total.add(turn);
        self.api_ms += api_ms;
    }

    pub(crate) fn total_cost_usd(&self) -> f64 {
        self.total.cost_usd()
    }
}
