//! The temporary world of one test: a home, a data directory, a runtime directory for the socket, and nothing of the
//! user's. Its path is the mark by which `processes` knows what belongs to the test.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{processes::Processes, spawn};

/// Directories of one test; removed with it.
#[derive(Debug)]
pub struct World {
    root: TempDir,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Fresh directories below `CLAUDE_COMMS_TEST_ROOT`, which `tests/run` sets to find what was left, else below `/tmp`:
    /// never deeper, because a socket path holds 107 bytes at most.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let parent = std::env::var_os("CLAUDE_COMMS_TEST_ROOT").unwrap_or_else(|| "/tmp".into());
        let root = tempfile::Builder::new().prefix("cc-").tempdir_in(parent).expect("it takes a directory");
        let world = Self { root };
        for directory in [world.home(), world.runtime_dir(), world.temporary_dir()] {
            fs::create_dir(&directory).expect("a fresh directory takes another");
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("our own directory");
        }
        world
    }

    /// The directory that holds all others.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.root().join("run")
    }

    /// `TMPDIR`.
    #[must_use]
    pub fn temporary_dir(&self) -> PathBuf {
        self.root().join("tmp")
    }

    /// Where the server keeps its data, unless it is told otherwise: the default below [`World::home`], so that the
    /// command line finds the token as it does on a user's machine.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home().join(".local/share/claude-comms")
    }

    /// The Unix socket of the test's server.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir().join("claude-comms/claude-comms.sock")
    }

    /// A command that sees this world and nothing else.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = spawn::command(program);
        command
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.runtime_dir())
            .env("TMPDIR", self.temporary_dir())
            .env("LANG", "C.UTF-8")
            .current_dir(self.root());
        command
    }

    /// All processes of this world.
    #[must_use]
    pub fn processes(&self) -> Processes {
        Processes::marked_by(self.root())
    }
}
