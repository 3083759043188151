//! The start that was let through to see whether processes work again. It must not know how they are started.

use super::BackendCondition;

/// Held for the process that decides. Dropped, it decides nothing, and the next start may.
#[derive(Debug)]
pub(crate) struct Trial {
    condition: BackendCondition,
    number: Option<u64>,
}

impl Trial {
    pub(super) fn new(condition: BackendCondition, number: u64) -> Self {
        Self { condition, number: Some(number) }
    }

    /// The process works: it has begun to answer, or has ended a turn with a word of its own.
    pub(crate) fn worked(mut self) {
        self.condition.process_works(self.number.take());
    }

    /// The process died: who watches processes tells that.
    pub(crate) fn died(mut self) {
        self.number = None;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.condition.trial_given_up(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future as _, poll_fn},
        task::Poll,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{
        condition::circuit::{LIMIT, State},
        telemetry::Figures,
    };

    #[tokio::test]
    async fn who_only_waited_gives_up_nothing_and_who_was_let_through_makes_room() {
        let condition = BackendCondition::new(Figures::new(1, 1));
        let before = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        (0..LIMIT).for_each(|_| {
            condition.inner().circuit.failed(before, 1.0);
        });
        let trial = condition.may_start(|| {}).await.expect("it is let through to see");
        let mut waits = Box::pin(condition.may_start(|| {}));
        let waiting = poll_fn(|context| Poll::Ready(waits.as_mut().poll(context).is_pending())).await;
        drop(waits);
        assert!(waiting && condition.inner().circuit.state() == State::HalfOpen, "one that waited is gone");
        drop(trial);
        let trial = condition.may_start(|| {}).await.expect("the next one");
        trial.worked();
        assert!(condition.starts_freely() && condition.may_start(|| {}).await.is_none());
    }
}
