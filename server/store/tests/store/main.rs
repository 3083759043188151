//! What every store must do, on redb; and what a store in a directory must do besides.

#![expect(clippy::unwrap_used, reason = "arranging may panic as asserting does")]

mod conversations;
mod crash;
mod fencing;
mod files;
mod instances;
mod lists;
mod model;
mod process;
mod prompts;
mod queue;
mod requests;
mod support;
mod turns;
