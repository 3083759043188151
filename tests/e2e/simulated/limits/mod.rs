//! What a process, a turn and a day may take, and what happens to each that takes more.

mod budgets;
mod memory;
mod processes;
mod questions;
pub(crate) mod support;
