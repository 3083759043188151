//! The way to the end of a running server: who asks for it, and the wait for it. It must not know what a turn or a process is.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::dispatcher::Dispatcher;

/// What cancelled turns (10 s to heed the interrupt) and stopped processes (5 s to heed the end of their input) may take.
const MARGIN: Duration = Duration::from_secs(20);
/// Further ahead than any server runs.
const FAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// Where calls ask the server for its end. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DrainSwitch {
    /// When running turns are cancelled.
    until: watch::Sender<Option<Instant>>,
    /// Whether new turns are refused.
    begun: watch::Sender<bool>,
}

impl DrainSwitch {
    pub(crate) fn new() -> Self {
        Self { until: watch::Sender::new(None), begun: watch::Sender::new(false) }
    }

    /// Asks for the end; running turns may go on for so long. Of several askers the most impatient is heard. Returns once
    /// the server takes no new turns.
    pub(crate) async fn ask(&self, grace: Duration) {
        let wanted = after(grace);
        self.until.send_if_modified(|until| {
            let earlier = until.is_none_or(|until| wanted < until);
            if earlier {
                *until = Some(wanted);
            }
            earlier
        });
        // The sender is `self`: it cannot be gone.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Resolves when somebody asks for an end before this time, or for any at all.
    pub(crate) async fn asked(&self, before: Option<Instant>) -> Instant {
        let mut until = self.until.subscribe();
        let earlier =
            |until: &Option<Instant>| until.is_some_and(|until| before.is_none_or(|before| until < before));
        let found = until.wait_for(earlier).await.ok().and_then(|until| *until);
        match found {
            Some(until) => until,
            // The sender is `self`: it cannot be gone.
            None => std::future::pending().await,
        }
    }
}

/// A time from now that every clock can hold.
pub(crate) fn after(grace: Duration) -> Instant {
    Instant::now() + grace.min(FAR)
}

/// How long until then.
pub(crate) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Drains: returns whether everything ended. `signal` is one that came after the drain had begun, and what grace it gives.
pub(crate) async fn drained(
    dispatcher: &Dispatcher,
    switch: &DrainSwitch,
    mut until: Instant,
    signal: impl Future<Output = Duration>,
) -> bool {
    let Ok(mut done) = dispatcher.begin_drain(left(until)).await else { return true };
    // Its mailbox is a queue: what is asked after the order is answered after it.
    let _ = dispatcher.load().await;
    switch.begun.send_replace(true);
    let mut signal = std::pin::pin!(signal);
    let mut signalled = false;
    loop {
        let earlier = tokio::select! {
            _ = &mut done => return true,
            () = sleep_until(until + MARGIN) => return false,
            earlier = switch.asked(Some(until)) => earlier,
            grace = &mut signal, if !signalled => {
                signalled = true;
                until.min(after(grace))
            }
        };
        if earlier < until {
            until = earlier;
            tracing::info!(longest_seconds = left(until).as_secs_f64().round(), "draining faster");
            let _ = dispatcher.begin_drain(left(until)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_most_impatient_is_heard() {
        let switch = DrainSwitch::new();
        switch.begun.send_replace(true);
        switch.ask(Duration::from_secs(60)).await;
        let first = switch.asked(None).await;
        switch.ask(Duration::from_secs(600)).await;
        assert_eq!(switch.asked(None).await, first);
        switch.ask(Duration::ZERO).await;
        assert!(switch.asked(Some(first)).await < first);
    }

    #[tokio::test]
    async fn who_asks_waits_until_turns_are_refused() {
        let switch = DrainSwitch::new();
        let mut asking = std::pin::pin!(switch.ask(Duration::MAX));
        tokio::select! {
            biased;
            () = &mut asking => panic!("nothing is refused yet"),
            _ = switch.asked(None) => {}
        }
        switch.begun.send_replace(true);
        asking.await;
    }
}
