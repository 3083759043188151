//! What every store must do, on redb; and what a store in a directory must do besides.

#![expect(clippy::unwrap_used, reason = "arranging may panic as asserting does")]

mod asked;
mod conversations;
mod crash;
mod crash_queries;
mod fencing;
mod files;
mod instance_logs;
mod instances;
mod lists;
mod model;
mod model_scenes;
mod model_state;
mod module_lists;
mod module_revisions;
mod modules;
mod process;
mod prompts;
mod queries;
mod queue;
mod requests;
mod scenes;
mod support;
mod tokens;
mod turns;
