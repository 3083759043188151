//! How long to go on after a failure, and how fast. Knows no call; it only counts.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// Delays between tries of a call that never reached a server, or whose connection broke.
pub(crate) fn short() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(40))
        .with_factor(2.0)
        .with_max_times(3)
        .with_jitter()
}

fn long() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_factor(2.0)
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter()
        .build()
}

/// The patience of a stream: short before there was a server at all, up to a limit once there was one.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    met: bool,
    run: Option<(Instant, ExponentialBackoff)>,
}

impl Patience {
    /// At most `limit` without a server.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, met: false, run: None }
    }

    /// The server was there and said something: the count starts anew.
    pub(crate) fn met(&mut self) {
        self.met = true;
        self.run = None;
    }

    /// Whether there was a server at all.
    pub(crate) fn has_met(&self) -> bool {
        self.met
    }

    /// How long to wait before the next try; `None` when it is time to give up.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let met = self.met;
        let (since, delays) =
            self.run.get_or_insert_with(|| (Instant::now(), if met { long() } else { short().build() }));
        let delay = delays.next()?;
        let left = self.limit.checked_sub(since.elapsed())?;
        if left.is_zero() { None } else { Some(delay.min(left)) }
    }

    /// How long it has been since the server was last there.
    pub(crate) fn waited(&self) -> Duration {
        self.run.as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_there_is_waited_for_until_the_limit() {
        let mut patience = Patience::new(Duration::from_secs(60));
        patience.met();
        let start = Instant::now();
        while let Some(delay) = patience.next() {
            tokio::time::advance(delay).await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_was_there_is_given_up_soon() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let start = Instant::now();
        while let Some(delay) = patience.next() {
            tokio::time::advance(delay).await;
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
