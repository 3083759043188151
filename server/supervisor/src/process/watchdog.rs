//! What tells a process that works from one that does not, and what becomes of one that cannot be trusted any more.
//! It must not know how long anybody is willing to wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use claude_comms_stream_json::turn::Stray;
use tokio::time::Instant;
use tracing::warn;

use super::{phase::Phase, task::ProcessTask};
use crate::{ExitCause, ProcessEvent};

/// When a process last said something that is no answer to a request of ours, or was given a turn. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    begin: Instant,
    millis: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), millis: Arc::default() }
    }

    /// It was heard in this moment.
    pub(super) fn now(&self) {
        let millis = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.begin + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl ProcessTask {
    /// It said what no turn of ours can have caused: its turns can be told apart no more. The one that runs may end;
    /// then it takes no other.
    pub(super) fn distrust(&mut self, stray: Stray) {
        let what = match stray {
            Stray::Result => "it gave a result that nobody had asked for",
            Stray::Output => "it answered although no turn ran",
        };
        if self.distrusted.is_none() {
            warn!(process = self.state_name(), "{what}; it takes no more turns");
            self.distrusted = Some(what);
        }
        self.retire_if_free();
    }

    /// Ends a process that is not trusted, once no turn runs in it.
    pub(super) fn retire_if_free(&mut self) {
        if let (Some(what), None, Phase::Live { .. }) = (self.distrusted, &self.turn, self.phase) {
            self.stop(ExitCause::Protocol(what.to_owned()));
        }
    }

    /// Ends it because somebody found that it does not work, unless it said something within `quiet_for`.
    pub(super) fn condemn(&mut self, why: String, quiet_for: Duration) {
        if self.turn.is_some() && self.heard.last().elapsed() < quiet_for {
            return;
        }
        self.kill(ExitCause::Stalled(why));
    }

    fn state_name(&self) -> &'static str {
        if self.turn.is_some() { "busy" } else { "idle" }
    }

    /// First rung: stdin EOF. The CLI finishes its turn and leaves.
    pub(super) fn stop(&mut self, cause: ExitCause) {
        let Phase::Live { .. } = self.phase else { return };
        // A stopped CLI ignores EOF, whoever stopped it; for a running one this is nothing.
        if let Some(life) = &self.life {
            life.resume();
        }
        self.outgoing.close();
        self.cause = Some(cause);
        self.phase = Phase::Closing { until: Instant::now() + self.options.stop_grace };
        self.transition(ProcessEvent::StopBegun);
    }
}
