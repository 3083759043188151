//! What answers turns. The pool, the dispatcher, turns and health hold an [`Arc<dyn Backend>`](Backend) and the
//! [`Worker`]s that it starts; which program stands behind them is known here and in `server.rs` alone.

mod api;
mod chain;
mod cli;
mod worker;

pub use api::{Backend, LaunchMark, NotReady, NotReadyReason, Running, TakeUp, Unclaimed, Worker};
pub use chain::chain;
pub(crate) use claude_comms_supervisor::StartError;
pub use cli::CliBackend;
pub(crate) use cli::{directory, find_program};

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests;
