//! The circuit before the starting of processes: after too many deaths in a row nothing is started for a while, then one
//! start is let through to see. Pure: the clock and the dice are the caller's. It must not know what a process is.

use std::time::{Duration, Instant};

/// So many processes in a row must be lost before starting is given up for a while.
pub(crate) const LIMIT: u32 = 5;
/// The first pause; each that follows it is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether processes may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// They may.
    Closed,
    /// Not before this time.
    Open {
        /// When one may be started to see.
        until: Instant,
    },
    /// One is on its way, and decides.
    HalfOpen,
}

/// What a start is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Go on.
    Start,
    /// Go on, as the one that decides. Who gives that up, or succeeds, names the number.
    Trial(u64),
    /// Not now: ask again then, or when something changed.
    Wait(Instant),
}

/// The circuit.
#[derive(Debug)]
pub(crate) struct Circuit {
    state: State,
    /// Processes lost since the last good turn.
    failures: u32,
    /// Pauses since then.
    pauses: u32,
    /// When the last start was let through half-open: one that nobody hears of again must not hold all up.
    tried: Option<Instant>,
    /// Starts that were let through half-open, ever: the number of the last one.
    trials: u64,
}

impl Circuit {
    /// A circuit that lets everybody through.
    pub(crate) fn new() -> Self {
        Self { state: State::Closed, failures: 0, pauses: 0, tried: None, trials: 0 }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a start would be told to wait, without being one.
    pub(crate) fn would_wait(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open { until } => (until > now).then_some(until),
            State::HalfOpen => self.tried.map(|tried| tried + LONGEST).filter(|until| *until > now),
        }
    }

    /// Asks for a start.
    pub(crate) fn ask(&mut self, now: Instant) -> Permit {
        if let Some(until) = self.would_wait(now) {
            return Permit::Wait(until);
        }
        if self.state == State::Closed {
            return Permit::Start;
        }
        self.state = State::HalfOpen;
        self.tried = Some(now);
        self.trials += 1;
        Permit::Trial(self.trials)
    }

    /// A start that was let through to see came to nothing: the next one may, unless it has begun already.
    pub(crate) fn given_up(&mut self, trial: u64, now: Instant) {
        if self.state == State::HalfOpen && trial == self.trials {
            self.state = State::Open { until: now };
            self.tried = None;
        }
    }

    /// A process was lost that nobody had asked to end, or could not be started. `dice` is from 0 to 1: it moves the
    /// pause between the half and the whole of its length. Whether the circuit has opened.
    pub(crate) fn failed(&mut self, now: Instant, dice: f64) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures >= LIMIT,
            State::HalfOpen => true,
            // One that was started before.
            State::Open { .. } => false,
        };
        if opens {
            let whole = FIRST.saturating_mul(1 << self.pauses.min(10)).min(LONGEST);
            self.pauses = self.pauses.saturating_add(1);
            self.tried = None;
            self.state = State::Open { until: now + whole.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0) };
        }
        opens
    }

    /// A process works: all is forgotten, unless starts are held back and it is not the one that was let through to see:
    /// one that was there before says nothing of those that are started now. Whether the circuit has closed.
    pub(crate) fn succeeded(&mut self, trial: Option<u64>) -> bool {
        let closes = self.state != State::Closed;
        if closes && trial != Some(self.trials) {
            return false;
        }
        *self = Self { trials: self.trials, ..Self::new() };
        closes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::new();
        let opened: Vec<bool> = (0..LIMIT).map(|_| circuit.failed(now, 1.0)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        circuit
    }

    #[test]
    fn five_losses_in_a_row_stop_all_starts_and_a_good_turn_between_forgets_them() {
        let now = Instant::now();
        let mut circuit = Circuit::new();
        for _ in 0..LIMIT - 1 {
            circuit.failed(now, 0.0);
        }
        assert!(!circuit.succeeded(None), "it was not open");
        assert_eq!((circuit.failures(), circuit.state()), (0, State::Closed));
        assert_eq!(opened(now).ask(now), Permit::Wait(now + FIRST));
    }

    #[test]
    fn after_the_pause_one_start_is_let_through_and_decides() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let later = now + FIRST;
        assert_eq!(circuit.ask(later), Permit::Trial(1));
        assert!(matches!(circuit.ask(later), Permit::Wait(_)), "one alone");
        assert!(circuit.failed(later, 1.0), "it is open again");
        assert_eq!(circuit.ask(later), Permit::Wait(later + 2 * FIRST), "for twice as long");
        assert_eq!(circuit.ask(later + 2 * FIRST), Permit::Trial(2));
        assert!(circuit.succeeded(Some(2)));
        assert_eq!(circuit.ask(later), Permit::Start);
    }

    #[test]
    fn while_starts_are_held_back_only_the_one_that_was_let_through_counts() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert!(!circuit.succeeded(None), "a process that was there before says nothing of new ones");
        assert_eq!((circuit.ask(now), circuit.failures()), (Permit::Wait(now + FIRST), LIMIT));
        assert_eq!(circuit.ask(now + FIRST), Permit::Trial(1));
        assert!(!circuit.succeeded(None) && circuit.state() == State::HalfOpen);
        assert!(circuit.failed(now + FIRST, 1.0));
        let pause = circuit.would_wait(now + FIRST).unwrap() - (now + FIRST);
        assert_eq!(pause, 2 * FIRST, "pauses grow whoever talks meanwhile");
    }

    #[test]
    fn a_start_that_is_never_heard_of_again_holds_up_nobody_for_ever() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let later = now + FIRST + LONGEST;
        assert_eq!(circuit.ask(now + FIRST), Permit::Trial(1));
        assert!(matches!(circuit.ask(now + LONGEST), Permit::Wait(_)));
        assert_eq!(circuit.ask(later), Permit::Trial(2));
        circuit.given_up(1, later);
        assert!(matches!(circuit.ask(later), Permit::Wait(_)), "it is another's turn by now");
        circuit.given_up(2, later);
        assert_eq!(circuit.ask(later), Permit::Trial(3), "who gives up makes room");
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_a_minute_and_every_one_ends(
            events in proptest::collection::vec((0..4_u8, 0..90_u64, 0.0..=1.0), 0..200)
        ) {
            let mut now = Instant::now();
            let mut circuit = Circuit::new();
            for (event, seconds, dice) in events {
                now += Duration::from_secs(seconds);
                match event {
                    0 => { circuit.succeeded(None); }
                    1 => { circuit.failed(now, dice); }
                    _ => match circuit.ask(now) {
                        Permit::Start => {}
                        Permit::Trial(trial) => if dice < 0.2 { circuit.succeeded(Some(trial)); },
                        Permit::Wait(until) => prop_assert!(until > now && until <= now + LONGEST),
                    },
                }
            }
            prop_assert!(!matches!(circuit.ask(now + LONGEST), Permit::Wait(_)));
        }
    }
}
