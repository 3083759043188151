//! What answers turns. The pool, the dispatcher, turns and health hold an [`Arc<dyn Backend>`](Backend) and the
//! [`Worker`]s that it starts; which program stands behind them is known here and in `server.rs` alone.

mod api;
mod chain;
mod cli;
mod worker;

pub use api::{Backend, NotReady, NotReadyReason, Running, TakeUp, Worker};
pub use chain::chain;
pub use cli::CliBackend;
pub(crate) use cli::{directory, find_program};

#[cfg(test)]
mod tests;
