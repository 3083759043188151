//! What the supervisor promises, kept by real processes.

#![expect(clippy::unwrap_used, reason = "a test says enough by failing")]

mod claude;
mod messages_api;
mod park;
mod probe;
mod reaper;
mod start;
mod stop;
mod support;
mod sweep;
mod tree;
mod turn;
mod vitals;
