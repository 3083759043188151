//! How long a retry waits, and how many there may be over the whole server. Pure: the clock and the dice are the caller's.

use std::time::{Duration, Instant};

/// The longest pause before the first retry of a turn whose process was lost.
pub(crate) const AFTER_LOSS: Duration = Duration::from_millis(400);
/// The longest pause before the first retry of a turn that the API could not take: the backend has tried for a while
/// by then.
pub(crate) const AFTER_API_ERROR: Duration = Duration::from_secs(4);

/// The pause before a retry (1 for the first): exponential, with full jitter, so that turns that failed together do not
/// come back together. `dice` is from 0 to 1.
pub(crate) fn delay(first: Duration, retry: u32, longest: Duration, dice: f64) -> Duration {
    let doubled = first.saturating_mul(1 << retry.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(dice.clamp(0.0, 1.0))
}

/// A bucket that fills by `per_minute` a minute and holds as many.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    taken: f64,
    last: Option<Instant>,
}

impl Budget {
    /// Takes one retry. `false`: there is none left for now.
    pub(crate) fn take(&mut self, now: Instant, per_minute: u32) -> bool {
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last = Some(now);
        self.taken = (self.taken - passed.as_secs_f64() * f64::from(per_minute) / 60.0).max(0.0);
        let left = self.taken + 1.0 <= f64::from(per_minute);
        if left {
            self.taken += 1.0;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread_over_their_whole_length() {
        let longest = Duration::from_secs(3);
        let pauses: Vec<_> =
            (1..=5).map(|retry| delay(Duration::from_secs(1), retry, longest, 1.0)).collect();
        assert_eq!(pauses, [1, 2, 3, 3, 3].map(Duration::from_secs));
        assert_eq!(delay(AFTER_LOSS, 3, longest, 0.0), Duration::ZERO);
        assert_eq!(delay(AFTER_LOSS, 1, longest, 0.5), AFTER_LOSS / 2);
        assert_eq!(delay(AFTER_LOSS, u32::MAX, longest, 1.0), longest);
    }

    #[test]
    fn a_budget_is_spent_and_fills_again() {
        let now = Instant::now();
        let mut budget = Budget::default();
        let taken: Vec<bool> = (0..4).map(|_| budget.take(now, 3)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!budget.take(now + Duration::from_secs(19), 3));
        assert!(budget.take(now + Duration::from_secs(20), 3));
        assert!(!budget.take(now + Duration::from_secs(20), 3));
        assert!(!Budget::default().take(now, 0), "none at all");
    }

    proptest! {
        #[test]
        fn no_minute_has_more_retries_than_twice_the_budget(
            steps in proptest::collection::vec(0..5_000_u64, 1..300), per_minute in 0..50_u32
        ) {
            let begin = Instant::now();
            let (mut now, mut budget, mut taken) = (begin, Budget::default(), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                if budget.take(now, per_minute) {
                    taken.push(now);
                }
            }
            for (i, first) in taken.iter().enumerate() {
                let in_minute = taken[i..].iter().take_while(|t| **t < *first + Duration::from_secs(60)).count();
                prop_assert!(in_minute <= 2 * per_minute as usize, "{in_minute}");
            }
        }
    }
}
