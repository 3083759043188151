//! What the server tells of its work: one log line a turn, and figures. Everything is counted once, in [`Figures`]; the
//! log, GetStatistics and the metrics show it. It must not know texts: ids, names and numbers alone come in here.
//!
//! [`catalogue`] names every figure, [`call`] counts RPCs and says which one a turn came from, `turn` has the turn's line,
//! `endpoint` what Prometheus scrapes.

mod backend;
mod budgets;
pub mod call;
pub mod catalogue;
pub(crate) mod endpoint;
mod figures;
mod gather;
#[cfg(feature = "otlp")]
pub mod otlp;
mod process;
mod snapshot;
pub mod trace;
mod turn;

pub use self::{
    call::CallLayer,
    figures::{Figures, StartOfProcess, Watching},
    gather::Observed,
    snapshot::{Durations, Snapshot},
    turn::{Asker, Settled},
};
