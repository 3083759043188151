//! The CLI's own session file (`<session id>.jsonl`): what became of a user message. The caller reads the file.
//!
//! Shape (CLI 2.1.330, `tests/recorded/transcripts`): lines with a `uuid` form chains by `parentUuid`; a user message
//! is followed by `attachment` and `system` lines, then by one `assistant` line per content block, each with the stop
//! reason of its whole message. Lines of a message are written once the message is complete.

mod line;
mod walk;

use uuid::Uuid;

use crate::output::Usage;
use walk::Walk;

/// What a session file says of a user message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The message never reached the session.
    Absent,
    /// It is there, but no final answer: the turn was cut, or still runs.
    Pending,
    /// It was interrupted on request.
    Interrupted,
    /// The model answered it in full.
    Answered(Answered),
    /// It failed, and the CLI wrote an error in place of an answer.
    Failed {
        /// The CLI's text for people.
        message: String,
        /// HTTP status, if the file holds it.
        http_status: Option<u16>,
    },
}

/// A final answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The text a [`crate::turn::TurnReader`] would have given: that of the last message, and of those cut at the
    /// token limit right before it.
    pub text: String,
    /// The line to fork the session at.
    pub assistant_uuid: String,
    /// Tokens of all API calls of the turn that gave a message.
    pub usage: Usage,
    /// The model that answered.
    pub model: String,
    /// `end_turn`, `max_tokens`, ...
    pub stop_reason: String,
}

/// Finds what became of the user message `user_uuid`. Lines that cannot be read (the last one of a process that was
/// killed) are skipped.
pub fn fate<'a>(lines: impl IntoIterator<Item = &'a str>, user_uuid: Uuid) -> Fate {
    let mut walk = Walk::new(user_uuid.to_string());
    for text in lines {
        if let Some(line) = line::parse(text) {
            walk.step(&line);
        }
    }
    walk.into_fate()
}
