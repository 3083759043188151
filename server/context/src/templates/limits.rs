//! How much a rendering may do, and how it fails.

use std::fmt;

/// Bounds of one rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderLimits {
    /// minijinja's unit of work: one instruction, or 64 bytes made.
    pub fuel: u64,
    /// Most bytes of the result.
    pub output_bytes: usize,
}

impl Default for RenderLimits {
    /// Enough for a megabyte of prompt from large descriptors; some milliseconds of work.
    fn default() -> Self {
        Self { fuel: 200_000, output_bytes: 1024 * 1024 }
    }
}

/// Why a template was not rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderErrorKind {
    /// It uses a variable, or a part of one, that there is not.
    Undefined,
    /// The result is longer than it may be.
    TooLong,
    /// It does more than it may.
    TooMuchWork,
    /// Anything else, such as a filter that got the wrong kind of value.
    Other,
}

/// A rendering that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RenderError {
    /// The template in which it failed, with prefix, such as `builtin/query`.
    pub template: String,
    /// The line in its file, from 1, where it can be told.
    pub line: Option<u32>,
    /// What went wrong.
    pub message: String,
    /// Its kind.
    pub kind: RenderErrorKind,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}", self.template)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}
