//! Spawning a program below a reaper, and the life pipe between the server and that reaper.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    process::Stdio,
};

use rustix::{
    io::FdFlags,
    pipe::{PipeFlags, pipe_with},
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::reaper::{CONTINUE, PAUSE};

/// The server's end of a life pipe: when it is dropped the reaper kills the whole process tree.
/// Close-on-exec, and neither cloned nor sent anywhere: one copy alive elsewhere and nothing would end.
#[derive(Debug)]
pub(crate) struct Life(OwnedFd);

impl Life {
    /// Tells the reaper to SIGSTOP the program's process group.
    pub(crate) fn pause(&self) {
        self.command(PAUSE);
    }

    /// Tells the reaper to SIGCONT it.
    pub(crate) fn resume(&self) {
        self.command(CONTINUE);
    }

    fn command(&self, command: u8) {
        // Non-blocking, and the pipe holds thousands of commands. A dead reaper (EPIPE) is seen by
        // whoever waits for it.
        let _reaper_gone = rustix::io::write(&self.0, &[command]);
    }
}

/// A reaper with its program. The pipes are the program's; the exit status is, too.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) reaper: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
    pub(crate) life: Life,
}

/// Starts `program` below `reaper` with exactly this environment, in `cwd`. Must run in a tokio runtime.
///
/// # Errors
/// If the reaper cannot be spawned. That the program cannot is said by the reaper, on stderr.
pub(crate) fn spawn(
    reaper: &Path,
    program: &Path,
    arguments: &[OsString],
    environment: &BTreeMap<OsString, OsString>,
    cwd: &Path,
) -> io::Result<Spawned> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // 0 to 2 would be overwritten by the program's own pipes.
    let read = rustix::io::fcntl_dupfd_cloexec(&read, 3)?;
    rustix::fs::fcntl_setfl(&write, rustix::fs::OFlags::NONBLOCK)?;

    // No `pre_exec` (spawning would cost 45 ms at 1 GiB of server memory) and no kill_on_drop (it would
    // kill the reaper, not the tree).
    #[expect(clippy::disallowed_methods, reason = "the supervisor spawns, and only below a reaper")]
    let mut command = Command::new(reaper);
    command
        .arg("__reap")
        .arg("--life-fd")
        .arg(read.as_raw_fd().to_string())
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(cwd)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Inheritable for the moment of this spawn. Another child spawned meanwhile may get a copy too, which
    // is harmless: copies of a read end delay no EOF.
    rustix::io::fcntl_setfd(&read, FdFlags::empty())?;
    let mut reaper = command.spawn()?;
    drop(read);
    Ok(Spawned {
        stdin: reaper.stdin.take().expect("stdin was asked for as a pipe"),
        stdout: reaper.stdout.take().expect("stdout was asked for as a pipe"),
        stderr: reaper.stderr.take().expect("stderr was asked for as a pipe"),
        reaper,
        life: Life(write),
    })
}
