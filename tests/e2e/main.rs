//! The end-to-end suite: one binary, one module a promise. `real_cli` needs the real Claude CLI and `polyglot` the tools
//! of other languages; `tests/run` installs both, and leaves out by name what it says it skips.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the error")]

mod polyglot;
mod real_cli;
mod simulated;
mod stand_in;
mod world;
