//! A point in an answer at which the stand-in waits until the test lets it go on. It knows no time: tests order events
//! with it instead of sleeping.

use std::sync::Arc;

use tokio::sync::watch;

use crate::wait::within;

#[derive(Debug, Clone, Copy)]
struct State {
    arrivals: usize,
    open: bool,
}

/// A gate in one or many answers. Clones are the same gate. Opened once, it stays open.
#[derive(Debug, Clone)]
pub struct Gate {
    state: Arc<watch::Sender<State>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State { arrivals: 0, open: false })) }
    }

    /// Opens it for all who wait and all who come.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until `count` answers have come to the gate: everything before it has been written by then.
    ///
    /// # Panics
    /// When they did not come in time.
    pub async fn arrived(&self, count: usize) {
        let mut state = self.state.subscribe();
        let arrived = async { state.wait_for(|state| state.arrivals >= count).await.is_ok() };
        assert!(within("an answer at the gate", arrived).await, "this handle keeps the gate");
    }

    pub(super) async fn pass(&self) {
        self.state.send_modify(|state| state.arrivals += 1);
        let mut state = self.state.subscribe();
        // Cannot fail: this handle keeps the sender.
        let _ = state.wait_for(|state| state.open).await;
    }
}
