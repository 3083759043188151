//! The stdin/stdout language of the Claude Code CLI (`--input-format stream-json --output-format stream-json`),
//! without any I/O and without a clock: bytes and lines go in, values and bytes come out.
//!
//! It must not know processes, gRPC, the store or tokio. Measured against CLI 2.1.330; the recorded lines are in
//! `tests/recorded`.
//!
//! * [`framing`] cuts bytes into lines.
//! * [`output`] reads what the CLI writes to its stdout.
//! * [`input`] writes (and, for a simulated CLI, reads) what the CLI gets on its stdin.
//! * [`control`] holds the two control messages which both sides may send.
//! * [`turn`] folds the output of one process into what the driver of a conversation needs.
//! * [`transcript`] reads the CLI's own session file: what became of a user message.

pub mod control;
mod encode;
pub mod framing;
pub mod input;
pub mod output;
mod parse_error;
mod text;
pub mod transcript;
pub mod turn;

pub use parse_error::ParseError;
