//! The handle of a running process, and the updates of its turn. The loop behind it is `ProcessTask`.

mod claim;
mod codec;
mod ladder;
mod outgoing;
mod phase;
mod status;
mod task;
mod turn;
mod vitals;
mod watchdog;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use claude_comms_stream_json::turn::TurnUpdate;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

pub(crate) use self::task::{ProcessTask, Ready};
use self::{status::Late, watchdog::Heard};
pub use self::{status::StatusReport, vitals::Vitals};
use crate::{ControlError, ExitCause, ExitInfo, ProcessState, SendError, StatusError, StderrFeed, Stop};

/// Batches a slow consumer may leave lying before the process is no longer read from.
const BATCHES: usize = 16;

/// What handles ask of the task. The mailbox holds a few; when it is full the asker waits.
#[derive(Debug)]
pub(crate) enum Request {
    Send {
        uuid: Uuid,
        text: String,
        reply: oneshot::Sender<Result<TurnUpdates, SendError>>,
    },
    /// `initialize` for a parked process.
    Claim {
        system_prompt: String,
        ready: oneshot::Sender<Ready>,
    },
    Interrupt {
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    Pause {
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    Resume {
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    Status {
        reply: oneshot::Sender<Result<StatusReport, StatusError>>,
    },
    /// Nobody waits for the status any more: why is there none?
    StatusLate {
        reply: oneshot::Sender<Late>,
    },
    /// End it, unless it said something within this time.
    Condemn {
        why: String,
        quiet_for: Duration,
    },
    Stop(Stop),
}

pub(crate) const MAILBOX: usize = 8;

/// A running process; cheap to clone. When the last handle is dropped the process is stopped as with
/// [`Stop::Now`], whoever still reads its [`TurnUpdates`].
#[derive(Debug, Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<ProcessState>,
    process_id: u32,
    /// Known once it was told by the CLI.
    cli_version: OnceLock<String>,
    stderr: StderrFeed,
    /// The reaper's process id; 0 if it is not known.
    reaper: u32,
}

impl Process {
    pub(crate) fn new(
        requests: mpsc::Sender<Request>,
        state: watch::Receiver<ProcessState>,
        ready: Ready,
        reaper: u32,
    ) -> Self {
        let Ready { process_id, cli_version, stderr } = ready;
        let inner = Inner { requests, state, process_id, cli_version: cli_version.into(), stderr, reaper };
        Self { inner: Arc::new(inner) }
    }

    /// One to which nothing was written yet; it is the reaper's first child.
    pub(crate) fn parked(
        requests: mpsc::Sender<Request>,
        state: watch::Receiver<ProcessState>,
        process_id: u32,
        stderr: StderrFeed,
        reaper: u32,
    ) -> Self {
        let inner = Inner { requests, state, process_id, cli_version: OnceLock::new(), stderr, reaper };
        Self { inner: Arc::new(inner) }
    }

    /// The CLI's own process id, never the reaper's; 0 if the CLI did not tell it.
    pub fn process_id(&self) -> u32 {
        self.inner.process_id
    }

    /// The CLI's version, e.g. `2.1.330`; empty if it did not tell it (yet).
    pub fn cli_version(&self) -> &str {
        self.inner.cli_version.get().map_or("", String::as_str)
    }

    /// Its vital signs: what may be asked by somebody who must not keep it alive.
    pub fn vitals(&self) -> Vitals {
        Vitals::new(&self.inner.requests, self.state(), self.process_id(), self.inner.reaper)
    }

    /// Asks the CLI how it is. As [`Vitals::status`].
    ///
    /// # Errors
    /// [`StatusError`].
    pub async fn status(&self, timeout: Duration) -> Result<StatusReport, StatusError> {
        self.vitals().status(timeout).await
    }

    /// What it writes to stderr.
    pub fn stderr(&self) -> StderrFeed {
        self.inner.stderr.clone()
    }

    /// Sends a user message and returns what comes of it. One turn at a time.
    ///
    /// `uuid` names the message in the CLI's transcript; a process answers each uuid once.
    ///
    /// # Errors
    /// [`SendError`]; the message has then not reached the process.
    ///
    /// # Cancel safety
    /// Not cancel safe: the message may have been sent. Its turn then runs to its end unheard.
    pub async fn send(&self, uuid: Uuid, text: String) -> Result<TurnUpdates, SendError> {
        let gone = SendError::Exited;
        self.ask(gone, |reply| Request::Send { uuid, text, reply }).await
    }

    /// Tells the running turn to stop; its end comes as [`TurnUpdate::End`], and the process stays. Returns
    /// once that is on its way. Idle: nothing happens. If the turn has not ended after 10 s the process is
    /// stopped.
    ///
    /// # Errors
    /// [`ControlError::Exited`].
    pub async fn interrupt(&self) -> Result<(), ControlError> {
        self.ask(ControlError::Exited, |reply| Request::Interrupt { reply }).await
    }

    /// Stops the idle process with SIGSTOP, through the reaper. Paused already: nothing happens.
    ///
    /// # Errors
    /// [`ControlError::Busy`] during a turn, [`ControlError::Exited`].
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.ask(ControlError::Exited, |reply| Request::Pause { reply }).await
    }

    /// Continues a paused process with SIGCONT. Not paused: nothing happens.
    ///
    /// # Errors
    /// [`ControlError::Exited`].
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.ask(ControlError::Exited, |reply| Request::Resume { reply }).await
    }

    /// Stops the process. Resolves when its whole tree is gone and was waited for. May be called again,
    /// and with [`Stop::Now`] while a graceful stop is under way.
    ///
    /// # Cancel safety
    /// Cancel safe: once begun, the stop goes on by itself.
    pub async fn stop(&self, how: Stop) -> ExitInfo {
        // Refused only by a task that has ended, and then there is nothing to stop.
        let _already_gone = self.inner.requests.send(Request::Stop(how)).await;
        self.exited().await
    }

    /// Where the process stands, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<ProcessState> {
        self.inner.state.clone()
    }

    /// Resolves when the process is gone and was waited for, for whatever reason.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn exited(&self) -> ExitInfo {
        exited(&mut self.state()).await
    }

    async fn ask<T, E>(
        &self,
        gone: E,
        request: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Request,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        if self.inner.requests.send(request(reply)).await.is_err() {
            return Err(gone);
        }
        answer.await.unwrap_or(Err(gone))
    }
}

pub(crate) async fn exited(state: &mut watch::Receiver<ProcessState>) -> ExitInfo {
    let exited = state.wait_for(|state| state.exit().is_some()).await;
    exited.ok().and_then(|state| state.exit().cloned()).unwrap_or_else(|| {
        // The task publishes the exit before it ends, unless the runtime dropped it. The life pipe
        // went with it.
        ExitInfo { code: None, cause: ExitCause::Killed, stderr: String::new() }
    })
}

/// What comes of one user message, in batches: all that was read at one wake is one batch.
///
/// At most 16 batches wait; then the process is no longer read from, so that a slow consumer slows the
/// process and loses nothing. Dropping it does not stop the turn: the rest is read and thrown away.
#[derive(Debug)]
pub struct TurnUpdates {
    batches: mpsc::Receiver<Vec<TurnUpdate>>,
    heard: Heard,
}

impl TurnUpdates {
    /// The next batch. The one that ends with [`TurnUpdate::End`] is the last. `None` without it: the
    /// process is gone, see [`Process::exited`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<TurnUpdate>> {
        self.batches.recv().await
    }

    /// When the process last said something of the turn, also what is told as no update, as thinking and signs of
    /// life of the API. Its answers to our own requests do not count.
    pub fn last_heard(&self) -> Instant {
        self.heard.last()
    }

    /// Whether [`next`](Self::next) would give something at once.
    pub fn has_waiting(&self) -> bool {
        !self.batches.is_empty() || self.batches.is_closed()
    }
}
