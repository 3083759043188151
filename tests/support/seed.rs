//! Random choices that can be repeated. A test that rolls dice prints its seed when it fails, and
//! `CLAUDE_COMMS_TEST_SEED=SEED` gives it the same choices again. It knows nothing of what is chosen.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
};

/// The seed of one test.
#[derive(Debug)]
pub struct Seed {
    seed: u64,
    quiet: bool,
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

impl Seed {
    /// That of `CLAUDE_COMMS_TEST_SEED`, else a new one.
    ///
    /// # Panics
    /// When the variable is no number.
    #[must_use]
    pub fn new() -> Self {
        let given = env::var("CLAUDE_COMMS_TEST_SEED").ok();
        let seed = match given {
            Some(seed) => seed.parse().expect("CLAUDE_COMMS_TEST_SEED is a number"),
            // Its keys are random; short, so that it is easily typed again.
            None => RandomState::new().hash_one(0_u8) >> 40,
        };
        Self { seed, quiet: false }
    }

    /// Prints it now, for a test that prints tables anyway.
    #[must_use]
    pub fn announced(mut self, test: &str) -> Self {
        crate::report::say(&format!("{test}: CLAUDE_COMMS_TEST_SEED={}", self.seed));
        self.quiet = true;
        self
    }

    /// The dice of one of those who choose: two with other numbers choose independently.
    #[must_use]
    pub fn dice(&self, number: u64) -> Dice {
        let mut dice = Dice(self.seed ^ number.wrapping_mul(0xD134_2543_DE82_EF95));
        dice.roll();
        dice
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.quiet {
            eprintln!("repeat these choices with CLAUDE_COMMS_TEST_SEED={}", self.seed);
        }
    }
}

/// SplitMix64: small, fast, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias of the remainder is far below what a test can see.
        usize::try_from(self.roll() % end as u64).expect("it is below a usize")
    }

    /// True in so many of a hundred times.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_chooses_the_same_and_other_dice_choose_otherwise() {
        let seed = Seed { seed: 7, quiet: true };
        let choices = |number| {
            let mut dice = seed.dice(number);
            (0..50).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(1), choices(1));
        assert_ne!(choices(1), choices(2));
        let mut all: Vec<usize> = (0..100).collect();
        seed.dice(3).shuffle(&mut all);
        assert_ne!(all, (0..100).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
