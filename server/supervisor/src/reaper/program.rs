//! Starting the CLI from the reaper.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

use rustix::process::{Pid, Signal};

use super::signals;

/// Starts the program with our stdin, stdout and stderr, in its own process group.
pub(super) fn spawn(program: &OsStr, arguments: &[OsString]) -> io::Result<Pid> {
    let reaper = rustix::process::getpid();
    #[expect(clippy::disallowed_methods, reason = "this is the reaper, which exists to spawn")]
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    // `pre_exec` forks instead of vforking; the reaper is small, so that costs nothing here.
    // SAFETY: between fork and exec only plain system calls are made, nothing is allocated or locked.
    #[expect(unsafe_code, reason = "pre_exec is the only way to set the child's death signal")]
    unsafe {
        command.pre_exec(move || {
            signals::reset();
            // Towards the reaper, whose one thread lives as long as it does (the signal follows the
            // thread that forked): should someone SIGKILL the reaper, the CLI goes too.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The reaper may have died before the line above.
            match rustix::process::getppid() {
                Some(parent) if parent == reaper => Ok(()),
                _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        });
    }
    // Waited for by `tree`, with everything else.
    let child = command.spawn()?;
    Ok(Pid::from_child(&child))
}
