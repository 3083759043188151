//! What operators watch: one instance, and the pool.

mod command_line;
mod instance;
mod many;
mod pool;
mod support;
