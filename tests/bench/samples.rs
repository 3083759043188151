//! Times of the same thing, and what is said of them.

use std::{fmt, time::Duration};

/// Times, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The time below which this part of them lies, ms.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn p50(&self) -> f64 {
        self.at(0.5)
    }
}

/// `p50 (p99)` in milliseconds.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3})", self.p50(), self.at(0.99))
    }
}

/// One turn as its driver saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnTimes {
    /// From asking to the first text.
    pub(crate) first_token: Duration,
    /// From asking to its end.
    pub(crate) whole: Duration,
}

/// Turns of one way to drive them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    pub(crate) first_token: Samples,
    pub(crate) whole: Samples,
}

impl Turns {
    /// Adds others.
    pub(crate) fn add(&mut self, others: Self) {
        self.first_token.add(others.first_token);
        self.whole.add(others.whole);
    }

    pub(crate) fn push(&mut self, turn: TurnTimes) {
        self.first_token.push(turn.first_token);
        self.whole.push(turn.whole);
    }
}
