//! What is wrong with a descriptor, and where. Knows nothing of how it was found.

use std::fmt;

/// One thing that is wrong with a descriptor, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the content: `capabilities[2].input.type`; empty means the whole text.
    pub path: String,
    /// The line in the text, from 1; absent if nothing in the text is to blame.
    pub line: Option<u32>,
    /// The column in that line in characters, from 1.
    pub column: Option<u32>,
    /// What is wrong and what to do about it, in one line.
    pub message: String,
}

impl Problem {
    /// A problem of the whole text.
    pub fn of_text(message: impl Into<String>) -> Self {
        Self { path: String::new(), line: None, column: None, message: message.into() }
    }

    /// The problem with its place as editors and compilers write it: `file:12:5: path: message`.
    pub fn located(&self, file: &str) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}: {self}"),
            (Some(line), None) => format!("{file}:{line}: {self}"),
            _ => format!("{file}: {self}"),
        }
    }

    /// The order of the text: by place, then as found.
    pub(crate) fn sort(problems: &mut Vec<Self>) {
        problems.sort_by_key(|problem| {
            (problem.line.unwrap_or(u32::MAX), problem.column.unwrap_or(u32::MAX), problem.path.clone())
        });
        problems.dedup();
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}
