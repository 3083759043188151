//! The stop ladder of a process: which rung it stands on and until when. It owns no pipe and no clock.

use std::time::Duration;

use tokio::time::Instant;

/// How long an interrupted turn may take to end; CLI 2.1.330 takes 24 ms.
pub(super) const INTERRUPT_LIMIT: Duration = Duration::from_secs(10);
/// How long the reaper may take to kill the tree, more than it takes itself, before it is killed.
pub(super) const REAPER_LIMIT: Duration = Duration::from_secs(15);
/// How long output may still come once the whole tree is gone: only from a process that escaped it.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// One rung after the other; there is no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Working or idle.
    Live {
        /// When it must have done what it was told, if it was told something.
        overdue: Option<(Instant, Overdue)>,
    },
    /// Stdin is at EOF, or will be once all is written.
    Closing {
        /// End of the grace.
        until: Instant,
    },
    /// The life pipe is closed.
    Killing {
        /// When the reaper has failed.
        until: Instant,
    },
    /// Waited for; the rest of the output is read.
    Reaped {
        /// When no more can come.
        until: Instant,
    },
}

/// What a live process failed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Interrupt,
    ExitAfterEof,
}

impl Overdue {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Interrupt => "the turn did not end within 10 s of its interrupt",
            Self::ExitAfterEof => "stdout was closed but the process did not exit",
        }
    }
}

impl Phase {
    /// When this rung ends. While the consumer is slow (`clogged`) the process is not to blame for what it
    /// cannot say.
    pub(super) fn deadline(self, clogged: bool) -> Option<Instant> {
        match self {
            Self::Live { overdue } => overdue.filter(|_| !clogged).map(|(until, _)| until),
            Self::Closing { until } | Self::Killing { until } | Self::Reaped { until } => Some(until),
        }
    }

    /// The consumer has caught up: what the process could not say counts from now.
    pub(super) fn unclogged(&mut self, now: Instant) {
        match self {
            Self::Live { overdue: Some((until, Overdue::Interrupt)) } => *until = now + INTERRUPT_LIMIT,
            Self::Reaped { until } => *until = now + DRAIN_LIMIT,
            _ => {}
        }
    }
}
