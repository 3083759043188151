//! Structured answers: how Claude is told to give data, and the reading of what it gave.
//!
//! An answer is text; where data is demanded it holds one fenced block opened by ` ```json `, of which the last counts,
//! or is as a whole one JSON value. A target that does not know says so in a block opened by ` ```unanswerable `.

mod fences;
mod finding;
mod json;
mod read;
mod repair;
mod schema;
#[cfg(test)]
mod tests;

pub use finding::Finding;
pub(crate) use finding::shortened;
pub use read::{Answer, read};
pub use repair::repair_message;
pub use schema::{MAX_SCHEMA_BYTES, OutputSchema, SchemaProblem};
