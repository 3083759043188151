//! The one place of the tests that makes child processes. Every child starts with an empty environment and dies with its
//! handle; what it may see is said by the caller.

use std::{ffi::OsStr, process::Stdio};

use tokio::process::Command;

/// A command with a cleared environment (`PATH` alone is kept), no standard input, and captured output.
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts the server and its clients from outside, as a user does"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
