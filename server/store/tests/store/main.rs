//! What every store must do, on redb; and what a store in a directory must do besides.

mod conversations;
mod crash;
mod fencing;
mod files;
mod lists;
mod model;
mod process;
mod queue;
mod requests;
mod support;
mod turns;
