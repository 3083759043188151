//! What can go wrong with a store.

use std::path::PathBuf;

use claude_comms_model::{IllegalTransition, Turn};

/// A call that a store did not carry out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such record; nothing was written.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// `conversation`, `turn`.
        what: &'static str,
        /// The id asked for.
        id: String,
    },
    /// Somebody else holds the conversation by now, or drives the turn: drop everything for it.
    #[error("the conversation is at epoch {epoch}, attempt {attempt}")]
    Fenced {
        /// The conversation's epoch.
        epoch: u64,
        /// The turn's attempt.
        attempt: u32,
    },
    /// The record is not in a state that allows it.
    #[error("conflicts with the record as it is: {0}")]
    Conflict(String),
    /// The turn has ended before; this is its record.
    #[error("the turn has already ended")]
    AlreadyTerminal(Box<Turn>),
    /// The machine has no such way.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A page token that this store did not make.
    #[error("not a page token of this list")]
    BadToken,
    /// Nobody knows whether it was written: read back before trying again.
    #[error("the outcome of the write is unknown")]
    Unknown(#[source] std::io::Error),
    /// The store is closed or cannot be reached.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is on disk cannot be understood.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// A store that could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server holds the data directory.
    #[error(
        "data directory {path} is in use by another claude-comms server (process {holder}): stop that one, or give another --data-dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process id as far as it is known, else `unknown`.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("data directory {path} cannot be used")]
    Unusable {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Others may put files into it.
    #[error("{path} can be written by others (mode {mode:04o}): {}", remedy(path, *mode))]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A newer claude-comms wrote it.
    #[error(
        "{path} has schema version {found}, this claude-comms knows up to {known}; use the newer one, or another data directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It is not a store of claude-comms, or damaged.
    #[error(
        "{path} is not a readable claude-comms store ({why}); it was left untouched: restore a backup, or move it away to start anew"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A directory that is meant to be shared must not be told to close.
fn remedy(path: &std::path::Path, mode: u32) -> String {
    if mode & 0o1000 != 0 {
        return "give a directory of its own".to_owned();
    }
    format!("check what is in it, then run `chmod 700 {}`", path.display())
}
