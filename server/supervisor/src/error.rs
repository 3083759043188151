//! What can go wrong when starting and driving a process.

use std::{io, path::PathBuf, time::Duration};

use uuid::Uuid;

/// Why a process did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The instance's name is not one plain file name.
    #[error("instance name {instance:?} is not a plain directory name")]
    InvalidInstance {
        /// The name given.
        instance: String,
    },
    /// The instance's own directories could not be made.
    #[error("prepare the directories of instance {instance}")]
    Directories {
        /// The instance.
        instance: String,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The transcript to resume or fork from could not be lent to the CLI.
    #[error("lend the transcript {} to the process", path.display())]
    Transcript {
        /// The transcript.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The reaper itself could not be spawned (no memory, too many processes, wrong path).
    #[error("spawn the reaper {}", reaper.display())]
    Spawn {
        /// The reaper.
        reaper: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no such program. Install the CLI or correct `claude.binary`.
    #[error("program {} not found", program.display())]
    NotFound {
        /// The program looked for.
        program: PathBuf,
    },
    /// The program is there but cannot be executed (no permission, not a program, another architecture).
    #[error("program {} cannot be executed", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The session to resume or fork from is not in the instance's directory, or not up to that answer.
    #[error("no conversation found for session {session}: {stderr}")]
    SessionNotFound {
        /// The session looked for.
        session: Uuid,
        /// The end of the process's stderr.
        stderr: String,
    },
    /// A new session's id is already on disk. Choose another, or resume it.
    #[error("session {session} already exists")]
    SessionInUse {
        /// The session.
        session: Uuid,
        /// The end of the process's stderr.
        stderr: String,
    },
    /// The process ended before it answered `initialize`.
    #[error("the process exited during its start with {}: {stderr}", code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}")))]
    Exited {
        /// Its exit code, as in [`ExitInfo`](crate::ExitInfo).
        code: Option<i32>,
        /// The end of its stderr.
        stderr: String,
    },
    /// The process did not answer `initialize` in time and was killed.
    #[error("the process did not answer within {}: {stderr}", Seconds(*after))]
    Timeout {
        /// How long it had.
        after: Duration,
        /// The end of its stderr.
        stderr: String,
    },
    /// The process does not speak stream-json as it should and was killed. Too old, or not the CLI.
    #[error("the process broke the protocol during its start: {message}")]
    Protocol {
        /// What it did.
        message: String,
        /// The end of its stderr.
        stderr: String,
    },
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// Why a user message was not written. It has not reached the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A turn is running; send after its end.
    #[error("the process is busy with another turn")]
    Busy,
    /// The process is paused; resume it first.
    #[error("the process is paused")]
    Paused,
    /// The process is stopping or gone.
    #[error("the process has exited or is stopping")]
    Exited,
}

/// Why an interrupt, a pause or a resume was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Only an idle process can be paused: a stopped one cannot finish its turn.
    #[error("the process is busy with a turn")]
    Busy,
    /// The process is stopping or gone.
    #[error("the process has exited or is stopping")]
    Exited,
}

/// Why a process did not say how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// It does not answer: it hangs, is stopped by somebody else, or the machine is overloaded.
    #[error("no answer within {}", Seconds(*after))]
    Silent {
        /// How long it had.
        after: Duration,
    },
    /// It waits to be claimed, and is not spoken to before that.
    #[error("the process waits to be claimed")]
    Parked,
    /// Its output waits for the one who reads the turn, so that nobody knows whether it has answered.
    #[error("its output waits to be taken")]
    Held,
    /// It is paused by us; resume it first.
    #[error("the process is paused")]
    Paused,
    /// It is stopping or gone.
    #[error("the process has exited or is stopping")]
    Exited,
}
