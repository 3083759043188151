//! What the CLI gets on its stdin. Writers append exactly one line. [`parse`] is the other end, for a simulated CLI.
//!
//! A line that is not JSON kills the CLI (2.1.330), so lines are made here and nowhere else.

mod parse;
mod request;
#[cfg(test)]
mod tests;
mod user;

pub use parse::{Input, InputRequest, InputUser, parse};
pub use request::{ControlRequest, Initialize, Request};
pub use user::UserMessage;

pub use crate::control::{Answer, ControlCancel, ControlResponse};
