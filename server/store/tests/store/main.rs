//! What every store must do, on redb; and what a store in a directory must do besides.

mod fencing;
mod queue;
mod requests;
mod support;
mod turns;
