//! Discovery: which modules can do something. An inverted index over the modules that count, kept as they come and go,
//! and the queries that read it. Must not know origins.

mod fields;
mod index;
mod labels;
mod query;
mod text;
mod tokens;

pub(super) use index::{DocumentId, Index};
pub use query::{Discovered, Match, Query};
