//! How a process is asked to end and how it ended.

/// How to stop a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Stdin EOF, then `stop_grace`, then the whole tree is killed. A running turn may finish in the grace.
    Graceful,
    /// The whole tree is killed at once. The session can still be resumed.
    Now,
}

/// Why a process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitCause {
    /// We asked it to stop and it left by itself within the grace.
    Stopped,
    /// It ended without having been asked to, with whatever code.
    Crashed,
    /// It broke the stream-json protocol and was stopped for it; the text says how.
    Protocol(String),
    /// It was found not to work any more and its tree was killed; the text says how that was seen.
    Stalled(String),
    /// We asked it to stop and its tree was killed: [`Stop::Now`], the end of the grace, or the last
    /// handle dropped.
    Killed,
}

impl ExitCause {
    /// The cause in a word, without what a process said.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Protocol(_) => "protocol",
            Self::Stalled(_) => "stalled",
            Self::Killed => "killed",
        }
    }
}

/// The end of a process: its tree is gone and it was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitInfo {
    /// The CLI's exit code, or 128 + the number of the signal that ended it. `None` only if the reaper
    /// itself was killed. Code 1 after a graceful stop is usual when the last turn failed.
    pub code: Option<i32>,
    /// Why.
    pub cause: ExitCause,
    /// The end of what the process wrote to stderr, at most 8 KiB.
    pub stderr: String,
}
