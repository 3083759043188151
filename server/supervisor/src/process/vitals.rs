//! The vital signs of a process, for somebody who must not keep it alive: whether its CLI answers, and what the
//! system says of its tree.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Request, StatusReport, status::Late};
use crate::{
    ProcessState, StatusError,
    facts::{self, ProcessFacts},
};

/// A process as a watchman sees it. Unlike a [`Process`](crate::Process) it keeps nothing alive; cheap to clone.
#[derive(Debug, Clone)]
pub struct Vitals {
    requests: mpsc::WeakSender<Request>,
    state: watch::Receiver<ProcessState>,
    process_id: u32,
    reaper: u32,
}

impl Vitals {
    pub(super) fn new(
        requests: &mpsc::Sender<Request>,
        state: watch::Receiver<ProcessState>,
        process_id: u32,
        reaper: u32,
    ) -> Self {
        Self { requests: requests.downgrade(), state, process_id, reaper }
    }

    /// The CLI's own process id; 0 if it did not tell it.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// Where the process stands now.
    pub fn state(&self) -> ProcessState {
        self.state.borrow().clone()
    }

    /// Ends the process at once because it was found not to work: `why` is told as the cause of its exit. A turn that
    /// runs in it and said something within `quiet_for` is left alone. Nobody waits for it: `false` when the process
    /// was too busy to take note, which is to be tried again.
    pub fn condemn(&self, why: String, quiet_for: Duration) -> bool {
        let Some(requests) = self.requests.upgrade() else { return true };
        requests.try_send(Request::Condemn { why, quiet_for }).is_ok()
    }

    /// Asks the CLI how it is, idle or busy. Costs nothing but some milliseconds of its time: no API call. A request
    /// that an earlier asker gave up is not sent again: its answer is taken.
    ///
    /// # Errors
    /// [`StatusError`].
    ///
    /// # Cancel safety
    /// Cancel safe: the answer is thrown away.
    pub async fn status(&self, timeout: Duration) -> Result<StatusReport, StatusError> {
        let (reply, mut answer) = oneshot::channel();
        self.send(Request::Status { reply }).await?;
        if let Ok(answered) = tokio::time::timeout(timeout, &mut answer).await {
            return answered.unwrap_or(Err(StatusError::Exited));
        }
        let (reply, late) = oneshot::channel();
        self.send(Request::StatusLate { reply }).await?;
        let late = late.await.map_err(|_| StatusError::Exited)?;
        // It may have come in the very moment.
        match (answer.try_recv(), late) {
            (Ok(answered), _) => answered,
            (Err(_), Late::Held) => Err(StatusError::Held),
            (Err(_), Late::Silent) => Err(StatusError::Silent { after: timeout }),
        }
    }

    async fn send(&self, request: Request) -> Result<(), StatusError> {
        let requests = self.requests.upgrade().ok_or(StatusError::Exited)?;
        requests.send(request).await.map_err(|_| StatusError::Exited)
    }

    /// Resident memory of the CLI and all it has started, bytes; what they share is counted for each, so that it is never
    /// less than their share. Blocking, but takes microseconds. `None` once the process is gone.
    pub fn resident_bytes(&self) -> Option<u64> {
        let exited = || self.state.borrow().exit().is_some();
        if exited() {
            return None;
        }
        let bytes = facts::resident_bytes_of_tree(self.process_id, self.reaper);
        if exited() { None } else { Some(bytes) }
    }

    /// What the system says of the CLI and all it has started. Blocking: reads some files of `/proc`, which takes
    /// about a millisecond for each 100 MB of the tree. `None` once the process is gone.
    pub fn facts(&self) -> Option<ProcessFacts> {
        let exited = || self.state.borrow().exit().is_some();
        // Until its exit is published the reaper is our child, so that its number cannot be a stranger's.
        if exited() {
            return None;
        }
        let facts = ProcessFacts::read(self.process_id, self.reaper);
        if exited() { None } else { facts }
    }
}
