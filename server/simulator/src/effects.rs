//! What a scenario does to the machine rather than to its output: a grandchild
//! in a session of its own, a process that kills itself or shuts its mouth.
//! Nothing else here spawns or signals.

use std::io::{self, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process, setsid};

use crate::scenario::Grandchild;

/// Starts a grandchild that has left our session and process group, and gives its process id once it has.
///
/// # Errors
/// That of the spawn, or `UnexpectedEof` if the grandchild died before it was ready.
pub(crate) fn spawn_grandchild(grandchild: Grandchild) -> io::Result<u32> {
    let held = if grandchild.holds_stdout {
        // Held as its stdin: any copy of the pipe's writing end keeps the reader from seeing its end.
        Stdio::from(rustix::stdio::stdout().try_clone_to_owned()?)
    } else {
        Stdio::null()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a descendant that tries to escape is what the scenario is for"
    )]
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .args(["__simulate", "--grandchild-for-seconds", &grandchild.seconds.to_string()])
        .stdin(held)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut ready = child.stdout.take().expect("its stdout was asked for as a pipe");
    ready.read_exact(&mut [0])?;
    Ok(child.id())
}

/// Is that grandchild; its exit code.
pub(crate) fn be_grandchild(seconds: u64) -> i32 {
    if setsid().is_err() {
        return 1;
    }
    // The parent may have died meanwhile; staying is the point.
    let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
    thread::sleep(Duration::from_secs(seconds));
    0
}

/// Standard output as it is at each write. Not `io::stdout()`: its line buffer would cut our chunks into two writes.
#[derive(Debug)]
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the reader of our standard output see its end; what is written there from now on is lost.
///
/// # Errors
/// That of the system.
pub(crate) fn close_stdout() -> io::Result<()> {
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(nowhere)?)
}

/// Dies by SIGKILL.
pub(crate) fn kill_self() -> ! {
    // It cannot fail for our own process; if it did, aborting is as sudden.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}
