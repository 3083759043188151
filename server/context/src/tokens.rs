//! How many tokens a text takes, estimated from its characters in one pass. It knows no model: the weights were fitted
//! to Anthropic's published tokenizer (`tests/tokens/README.md` says how and how well).
//!
//! Newer models' tokenizers give up to some 20 to 30 % more tokens for the same text, and no published one counts them.
//! So every count here carries [`SAFETY_PERCENT`]: a budget is kept in the tokens of a newer model, at the cost of some
//! room with an older one.

mod scan;
mod weights;

use scan::Features;
use weights::WEIGHTS;

/// What every count is multiplied by, in percent of the published tokenizer's count.
pub const SAFETY_PERCENT: u32 = 125;

/// The tokens of a text, about, with the margin for newer models. It takes linear time.
pub fn estimate_tokens(text: &str) -> u32 {
    let thousandths = thousandths(text).saturating_mul(u64::from(SAFETY_PERCENT)) / 100;
    u32::try_from(thousandths.div_ceil(1000)).unwrap_or(u32::MAX)
}

/// The tokens of a text by the published tokenizer, about: what the calibration compares.
pub fn estimate_published_tokens(text: &str) -> u32 {
    u32::try_from(thousandths(text).div_ceil(1000)).unwrap_or(u32::MAX)
}

fn thousandths(text: &str) -> u64 {
    let counts = Features::of(text).counts;
    counts.iter().zip(WEIGHTS).map(|(count, weight)| count * u64::from(weight)).sum()
}
