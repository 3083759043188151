//! What tokens cost, to estimate with while a turn runs. The truth is the backend's, at the turn's end: what it says
//! corrects the estimates that follow, model by model.

use std::collections::HashMap;

use claude_comms_model::Usage;

use super::Nano;

/// US dollars for a million tokens: read, written. The first whose name is part of the model's; an unknown model is taken
/// for the dearest.
const PRICES: [(&str, f64, f64); 3] = [("haiku", 1.0, 5.0), ("sonnet", 3.0, 15.0), ("opus", 5.0, 25.0)];
/// Writing to the prompt cache costs this much of reading afresh, reading from it that much.
const CACHE_WRITE: f64 = 1.25;
const CACHE_READ: f64 = 0.1;
/// A correction beyond these is a mistake of somebody's.
const CORRECTIONS: std::ops::RangeInclusive<f64> = 0.01..=100.0;
/// Models whose corrections are kept.
const MODELS: usize = 100;

/// The list, with what was learnt.
#[derive(Debug, Default)]
pub(super) struct Prices {
    corrections: HashMap<String, f64>,
}

/// By the list alone.
pub(super) fn listed(model: &str, usage: Usage) -> Nano {
    let dearest = PRICES[PRICES.len() - 1];
    let (_, read, written) = PRICES.into_iter().find(|(name, ..)| model.contains(name)).unwrap_or(dearest);
    let tokens = |count: u64, factor: f64| count as f64 * factor;
    let input = tokens(usage.input_tokens, 1.0)
        + tokens(usage.cache_creation_input_tokens, CACHE_WRITE)
        + tokens(usage.cache_read_input_tokens, CACHE_READ);
    // Dollars for a million are thousands of billionths for one.
    ((input * read + tokens(usage.output_tokens, written)) * 1000.0).round() as Nano
}

impl Prices {
    /// A price by the list, corrected.
    pub(super) fn corrected(&self, model: &str, listed: Nano) -> Nano {
        (listed as f64 * self.corrections.get(model).copied().unwrap_or(1.0)).round() as Nano
    }

    /// Tokens that cost `listed` by the list have truly cost `cost`.
    pub(super) fn learn(&mut self, model: &str, listed: Nano, cost: Nano) {
        if listed == 0 || (self.corrections.len() >= MODELS && !self.corrections.contains_key(model)) {
            return;
        }
        let ratio = (cost as f64 / listed as f64).clamp(*CORRECTIONS.start(), *CORRECTIONS.end());
        // The last turn counts as much as all before it.
        self.corrections
            .entry(model.to_owned())
            .and_modify(|known| *known = f64::midpoint(*known, ratio))
            .or_insert(ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64, output_tokens: u64, cached: u64, from_cache: u64) -> Usage {
        Usage {
            input_tokens,
            output_tokens,
            cache_creation_input_tokens: cached,
            cache_read_input_tokens: from_cache,
        }
    }

    #[test]
    fn a_million_tokens_cost_what_the_list_says() {
        const MILLION: u64 = 1_000_000;
        for (model, usage, dollars) in [
            ("claude-opus-4-8", usage(MILLION, 0, 0, 0), 5.0),
            ("claude-opus-4-8", usage(0, MILLION, 0, 0), 25.0),
            ("claude-sonnet-4-5", usage(MILLION, MILLION, 0, 0), 18.0),
            ("claude-haiku-4-5", usage(MILLION, 0, 0, 0), 1.0),
            ("claude-sonnet-4-5", usage(0, 0, MILLION, 0), 3.75),
            ("claude-sonnet-4-5", usage(0, 0, 0, MILLION), 0.3),
            ("a model of tomorrow", usage(MILLION, 0, 0, 0), 5.0),
        ] {
            assert_eq!(listed(model, usage), super::super::nano(dollars), "{model} {usage:?}");
        }
        // As the CLI computes it (server/stream-json/tests/recorded/plain_turn.jsonl).
        assert_eq!(listed("claude-sonnet-4-5", usage(10, 3, 0, 0)), 75_000);
    }

    #[test]
    fn what_the_backend_says_corrects_the_next_estimate_of_that_model_alone() {
        let mut prices = Prices::default();
        assert_eq!(prices.corrected("a", 1000), 1000);
        prices.learn("a", 1000, 600);
        assert_eq!((prices.corrected("a", 1000), prices.corrected("b", 1000)), (600, 1000));
        prices.learn("a", 1000, 800);
        assert_eq!(prices.corrected("a", 1000), 700);
        prices.learn("b", 0, 5);
        prices.learn("c", 1, u64::MAX);
        assert_eq!((prices.corrected("b", 1000), prices.corrected("c", 1000)), (1000, 100_000));
    }
}
