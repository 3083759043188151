//! A simulated Claude Code CLI: the same flags, the same stream-json lines on
//! stdin and stdout, the same session file and exit codes as CLI 2.1.330, but
//! no model behind it. It owns the imitation and the scenarios that break it on
//! purpose; it must not know the server, and shares no code with the reader of
//! these lines (`stream-json`), which it exists to test.
//!
//! [`run`] is the hidden subcommand `__simulate`. The rest is a `session`
//! with an injected inbox and output, so that tests can run it in-process.

mod data;
mod default_answer;
mod effects;
mod flags;
mod history;
mod ids;
mod inbox;
mod ledger;
mod lines;
mod message;
mod opening;
mod outbox;
mod player;
mod program;
mod requests;
mod scenario;
mod session;
mod signals;
mod steps;
#[cfg(test)]
mod tests;
mod transcript;

pub use program::run;
