//! What the server tells of its work: a line a turn, and figures that agree with what was done. A known session stands
//! behind all of them.

mod endpoint;
mod figures;
mod lines;
pub(crate) mod session;
