//! The live test itself, as the suite can hold it to its word: the same program with the real CLI, against the stand-in for
//! the Messages API, which plays right and wrong answers. Nobody is asked who costs money.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the error")]

mod real_cli;
mod refusals;
mod stage;
