//! What every store must do, on redb; and what a store in a directory must do besides.

mod support;
mod turns;
