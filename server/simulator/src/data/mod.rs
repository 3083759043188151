//! Made-up data that fits the schema a message demands: which schema that is, and a small instance of it. Knows the
//! server's messages by their text alone, and nothing of conversations or lines.

mod conjunction;
mod demand;
mod document;
mod instance;
mod number;
mod pattern;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use demand::demanded;
pub(crate) use instance::instance;
