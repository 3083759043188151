//! The store in one file of the data directory: redb behind the [`Store`](crate::Store) trait.
//!
//! `data_dir/lock` is held for the store's life, `store.redb` has the rows, `transcripts/` the CLI's session files.
//! All writes go through one thread that commits what waits for it in one transaction (see [`writer`]); reads see
//! the last commit. **Invariant:** an operation checks everything before its first insert, so that a refused one
//! leaves no trace in the transaction it shares with others.

mod conversations;
mod directory;
#[cfg(test)]
mod faults;
mod indexes;
mod instance_logs;
mod instances;
mod lazy;
mod lists;
mod module_rows;
mod modules;
mod observer;
mod open;
mod overlay;
mod page_token;
mod probe;
mod prompts;
mod reading;
mod riders;
mod rows;
mod scenes;
mod schema;
mod store;
mod tables;
mod tokens;
mod transcripts;
mod turns;
mod writer;

pub use observer::{Commit, Observer};
pub use open::{Options, inspect};
pub use store::RedbStore;
