//! A conversation as its watchers see it: the durable events of all its turns by their numbers, without a gap, and the
//! text of the turn that runs in its place between them.
//!
//! What is long past is read from the store, a page at a time; what is new comes from the turns themselves. There is no
//! queue per watcher: each holds a place, and one that reads nothing costs nothing that grows. It must not know: gRPC.

mod audience;
mod slot;
mod watch;

pub(crate) use audience::{Audience, Seat};
#[cfg(test)]
use watch::ConversationTold;
pub(crate) use watch::{ConversationWatch, Past, WatchEnd};

#[cfg(test)]
mod tests;
