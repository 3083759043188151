//! One process's output, folded into what the driver of a conversation needs.

mod message;
mod outcome;
mod reader;
mod rounds;
#[cfg(test)]
mod tests;
mod update;

pub use crate::output::{RateLimitInfo, Usage};
pub use reader::TurnReader;
pub use update::{FailureReason, MessageStep, Outcome, ResetReason, Stray, TurnEnd, TurnUpdate};
