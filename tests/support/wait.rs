//! Bounded waiting on a state. It must not be used where an event can be awaited, and never merely passes time.

use std::time::{Duration, Instant};

/// How long a test waits for something that must happen. Generous: a cold Claude CLI took 22 s to its first answer, and a
/// test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a state that has no event of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks until `look` sees something and returns it.
///
/// # Panics
/// When nothing was seen within `deadline`; `what` says what was missed.
pub async fn eventually<T>(deadline: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not seen within {deadline:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Awaits an event for [`PATIENCE`].
///
/// # Panics
/// When it did not come; `what` says what was awaited.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("did not come within {PATIENCE:?}: {what}"),
    }
}

/// The blocking form of [`eventually`], for `Drop`. Returns whether `seen` became true.
#[must_use]
pub fn blocking(deadline: Duration, mut seen: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if seen() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
