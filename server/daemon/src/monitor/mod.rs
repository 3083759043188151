//! What operators watch: each instance's log, what it is doing live, and the pool as a whole.
//!
//! Nobody waits for it. The dispatcher and the turns' tasks put down what happened and go on; one task (`writer`) makes
//! it durable in batches, in commits that happen anyway; then it is told. Watchers have no queue: each holds a place in a
//! log, a turn and a process's stderr, and takes what is there when it is polled. It must not know gRPC.

mod board;
mod handle;
mod log;
mod watch;
mod writer;

pub(crate) use board::{Board, Changes, Counts, Since};
pub use handle::Monitor;
pub(crate) use watch::{InstanceWatch, Seen, WatchEnd};
pub(crate) use writer::write;
