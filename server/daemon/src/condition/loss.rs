//! What is told of a process that was lost: its cause to everybody, its own words only to who looks after the server. It
//! must not know what follows of it.

use claude_comms_supervisor::{ExitCause, ExitInfo, StartError};

/// Longest line of a process that is kept, characters.
const LINE: usize = 200;

/// A process that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// How, without a word of its own: those may quote what somebody has told it.
    pub cause: String,
    /// The last line that it said, without control characters.
    said: String,
}

impl Loss {
    /// Of one that ended, unless somebody asked it to.
    pub(super) fn of_exit(exit: &ExitInfo) -> Option<Self> {
        let (what, how) = match &exit.cause {
            ExitCause::Crashed => ("the process died", ""),
            ExitCause::Protocol(how) => ("the process broke the protocol", how.as_str()),
            ExitCause::Stopped | ExitCause::Killed | ExitCause::Stalled(_) => return None,
        };
        let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let said = last_line(&exit.stderr);
        let said = if said.is_empty() { plain(how) } else { said };
        Some(Self { cause: format!("{what} (exit code {code})"), said })
    }

    /// Of one that could not be started.
    pub(super) fn of_start(error: &StartError) -> Self {
        let said = match error {
            StartError::Exited { stderr, .. }
            | StartError::Timeout { stderr, .. }
            | StartError::SessionNotFound { stderr, .. }
            | StartError::SessionInUse { stderr, .. } => last_line(stderr),
            StartError::Protocol { message, stderr } => {
                let said = last_line(stderr);
                if said.is_empty() { plain(message) } else { said }
            }
            _ => plain(&crate::backend::chain(error)),
        };
        Self { cause: start_cause(error), said }
    }

    /// The cause with what it said.
    pub(super) fn reason(&self) -> String {
        let colon = if self.said.is_empty() { "" } else { ": " };
        format!("{}{colon}{}", self.cause, self.said)
    }
}

/// Why a process could not be started, without a path or a word of its own.
pub(crate) fn start_cause(error: &StartError) -> String {
    let what = match error {
        StartError::Directories { .. } => "the directories of the process could not be made",
        StartError::Transcript { .. } => "the transcript could not be lent to the process",
        StartError::Spawn { .. } => "the system started no process",
        StartError::NotFound { .. } => "the program was not found",
        StartError::NotExecutable { .. } => "the program cannot be executed",
        StartError::SessionNotFound { .. } => "the process does not know the session",
        StartError::SessionInUse { .. } => "the session exists already",
        StartError::Exited { code, .. } => {
            let code = code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            return format!("the process ended during its start (exit code {code})");
        }
        StartError::Timeout { .. } => "the process did not answer in time",
        StartError::Protocol { .. } => "the process broke the protocol during its start",
        _ => "the process could not be started",
    };
    what.to_owned()
}

fn last_line(stderr: &str) -> String {
    plain(stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default())
}

fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_has_no_word_of_the_process_and_the_reason_its_last_line_made_plain() {
        let stderr = format!("first\n\u{1b}[31msecret /home/x\u{7} {}\n \n", "y".repeat(300));
        let loss = Loss::of_start(&StartError::Exited { code: Some(3), stderr });
        assert_eq!(loss.cause, "the process ended during its start (exit code 3)");
        assert!(loss.reason().starts_with(&format!("{}: [31msecret /home/x y", loss.cause)), "{loss:?}");
        assert_eq!(loss.said.chars().count(), LINE);
        let path = std::path::PathBuf::from("/opt/secret");
        let loss = Loss::of_start(&StartError::NotFound { program: path });
        assert!(!loss.cause.contains("secret") && loss.reason().contains("/opt/secret"), "{loss:?}");
    }
}
