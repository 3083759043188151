//! The supervisor's settings. It must not know where they come from.

use std::{path::PathBuf, time::Duration};

use claude_comms_stream_json::framing::LINE_LIMIT_BYTES;

/// Settings of a [`Supervisor`](crate::Supervisor); one set for all its processes.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program entered as `<reaper> __reap ...`: our own binary. `/proc/self/exe` keeps working
    /// after an upgrade replaced the file.
    pub reaper: PathBuf,
    /// Value of `INSTANCE_OWNER` in each process's environment, by which [`sweep`](crate::Supervisor::sweep)
    /// finds leftovers. Must be unique to this server and stable over its restarts.
    pub owner: String,
    /// Holds one directory per instance, each 0700.
    pub instances_dir: PathBuf,
    /// An operator's own configuration directory, in which somebody has logged in: every process uses it in place of one
    /// of its own. It must exist and be an absolute path; nothing that is in it is ever removed or made private.
    pub config_dir: Option<PathBuf>,
    /// How long a process may take to answer `initialize` (default 60 s: with a cold page cache the
    /// first start of CLI 2.1.330 took 8-22 s).
    pub initialize_timeout: Duration,
    /// Grace between stdin EOF and the end of the whole tree (default 5 s). The CLI finishes its turn
    /// and flushes its session file in it.
    pub stop_grace: Duration,
    /// Longest line accepted from the CLI, in bytes; a longer one ends the process.
    pub line_limit_bytes: usize,
    /// How much of each process's stderr is remembered, in bytes (default 64 KiB, the newest wins).
    pub stderr_ring_bytes: usize,
}

impl Options {
    /// The defaults, for a server with the identity `owner` that keeps its instances in `instances_dir`.
    pub fn new(owner: impl Into<String>, instances_dir: impl Into<PathBuf>) -> Self {
        Self {
            reaper: PathBuf::from("/proc/self/exe"),
            owner: owner.into(),
            instances_dir: instances_dir.into(),
            config_dir: None,
            initialize_timeout: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
            line_limit_bytes: LINE_LIMIT_BYTES,
            stderr_ring_bytes: 64 * 1024,
        }
    }
}
