//! Why a line is not a message. It never carries text of the line: that may be a prompt, and errors are logged.

/// A line that cannot be read as a message.
///
/// serde_json's own error is not kept as a source because it quotes the offending text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The line is not UTF-8; valid up to this byte.
    #[error("line is not utf-8 from byte {valid_up_to} on")]
    NotUtf8 {
        /// Count of valid bytes before the first wrong one.
        valid_up_to: usize,
    },
    /// The line is not a JSON object, or it ends too early.
    #[error("line is not a json object (column {column})")]
    NotJson {
        /// Column of the error, in bytes, from 1; 0 if unknown.
        column: usize,
    },
    /// JSON, but not the message its `type` promises: a field is missing, doubled, or of another type.
    #[error("message of type {kind:?} is malformed: {problem} (column {column})")]
    Malformed {
        /// The `type` (and `subtype`) of the message, `?` if it could not be read.
        kind: String,
        /// What is wrong, without any text of the line.
        problem: String,
        /// Column of the error, in bytes, from 1; 0 if unknown.
        column: usize,
    },
}

impl ParseError {
    pub(crate) fn new(kind: &str, error: &serde_json::Error) -> Self {
        if !error.is_data() {
            return Self::NotJson { column: error.column() };
        }
        let shown = error.to_string();
        // Only these two name nothing but our own field.
        let named = ["missing field", "duplicate field"].iter().any(|p| shown.starts_with(p));
        let problem = match shown.split(" at line ").next() {
            Some(text) if named => text.to_owned(),
            _ => "a field has an unexpected type or value".to_owned(),
        };
        Self::Malformed { kind: kind.to_owned(), problem, column: error.column() }
    }
}
