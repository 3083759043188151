//! Diagnosis: what an operator asks when something is wrong. One file a family of checks; [`Diagnosis`] runs them one
//! after the other, each bounded in time and none able to hide the others. It mends nothing, and it tells no secret.

mod access;
mod cli;
mod clock;
mod directories;
mod limits;
mod login;
mod run;
mod store;
mod tls;
mod turn;
mod verdict;

pub(crate) use run::Attached;
pub use run::{Diagnosis, Wish};
pub use verdict::{CheckResult, Verdict};
