//! The module layer: what is registered, found, asked and answered, in front of simulated Claudes.

mod answers;
mod busy_server;
mod changing_files;
mod command_line;
mod context;
mod directories;
mod discovery;
mod kills;
mod large;
mod origins;
mod parameters;
mod queries;
mod refusals;
mod registry;
mod relationships;
mod repairs;
mod requests;
pub(super) mod support;
mod template_dirs;
mod together;
mod versions;
