//! The reaper: the process between the server and one CLI, a hidden subcommand of our own binary.
//! Single-threaded, no runtime, no logging. It owns the CLI's process tree: when the life pipe closes
//! (the server dropped its end, or is dead) or the CLI exits, nothing of the tree is left. It must not
//! know what the CLI says; stdin, stdout and stderr pass by it.

mod arguments;
mod program;
mod signals;
mod tree;
mod watch;

pub(crate) use self::watch::{CONTINUE, PAUSE};

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    path::Path,
};

use rustix::{
    fs::Mode,
    io::FdFlags,
    process::{Pid, PidfdFlags, WaitStatus},
};

use self::arguments::Plan;

/// Exit code of a reaper that could not run its program. The line that says why is on stderr and
/// starts with [`CANNOT_START`].
pub(crate) const EXIT_CANNOT_START: i32 = 213;
/// Exit code of a reaper called wrongly.
const EXIT_USAGE: i32 = 214;
/// Starts the stderr line of a reaper that could not run its program. Then the OS error number follows
/// (0 if none), a colon, and text.
pub(crate) const CANNOT_START: &str = "claude-comms reaper: cannot start the program: os error ";

/// Runs one program as the reaper of its process tree; never returns.
///
/// `args` are those of `__reap --life-fd N -- program args...`; the program's own name and `__reap`
/// may be missing or present. Must be the first thing `main` does: no threads, no runtime.
///
/// Exits with the program's code, or 128 + signal; 213 if it could not be started (stderr says why).
pub fn run_reaper(args: impl Iterator<Item = OsString>) -> ! {
    let code = match Plan::parse(args) {
        Ok(plan) => reap(plan),
        Err(usage) => {
            say(usage);
            EXIT_USAGE
        }
    };
    std::process::exit(code)
}

fn reap(plan: Plan) -> i32 {
    match start(&plan) {
        Ok((life, cli)) => {
            let status = guard(&life, cli);
            status.map_or(EXIT_CANNOT_START, exit_code)
        }
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(0);
            say(format_args!("{CANNOT_START}{number}: {}: {error}", Path::new(&plan.program).display()));
            EXIT_CANNOT_START
        }
    }
}

/// Steps 1 to 3 of ORPHANS.md: become the tree's subreaper, start the CLI, let go of its pipes.
fn start(plan: &Plan) -> io::Result<(OwnedFd, Pid)> {
    let life = adopt(plan.life_fd)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    signals::ignore();
    close_on_exec()?;
    // What the CLI writes (sessions hold the prompts in clear) is the owner's alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let cli = program::spawn(&plan.program, &plan.arguments)?;
    // Our copies of the CLI's pipes would hide its stdout EOF from the server and the server's stdin
    // EOF from it. The life pipe's read end takes their place: it is there, and a copy of it delays nothing.
    rustix::stdio::dup2_stdin(&life)?;
    rustix::stdio::dup2_stdout(&life)?;
    Ok((life, cli))
}

/// Steps 4 to 6: watch, then kill all that is left.
fn guard(life: &OwnedFd, cli: Pid) -> Option<WaitStatus> {
    // The CLI is our unreaped child: its pid cannot have been reused.
    match rustix::process::pidfd_open(cli, PidfdFlags::empty()) {
        Ok(pidfd) => watch::until_the_end(life, &pidfd, cli),
        Err(error) => say(format_args!("cannot watch the program, ending it: {error}")),
    }
    let end = tree::kill(cli);
    if end.left > 0 {
        say(format_args!("{} processes could not be killed", end.left));
    }
    end.status
}

/// Takes the life pipe's read end that the server left open for us.
fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only borrowed to ask whether it is open; a closed number gives EBADF.
    #[expect(unsafe_code, reason = "the number came over exec; nothing but a number can")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(borrowed)?;
    // SAFETY: open, as just asked, and nobody else in this fresh single-threaded process owns it.
    #[expect(unsafe_code, reason = "the number came over exec; nothing but a number can")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The CLI must inherit nothing but its three pipes: neither the life pipe nor what leaked into us.
fn close_on_exec() -> io::Result<()> {
    // Collected first: the directory's own descriptor is among the entries and closed afterwards.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > io::stderr().as_raw_fd())
        .collect();
    for number in open {
        // SAFETY: only its flags are changed; a number closed meanwhile gives EBADF, which is fine.
        #[expect(unsafe_code, reason = "descriptors listed by the kernel have no owner here")]
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        let _closed_meanwhile = rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC);
    }
    Ok(())
}

fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// To stderr, which the server reads; a dead server (EPIPE) must not stop the work.
fn say(text: impl std::fmt::Display) {
    let _no_one_reads = writeln!(io::stderr(), "{text}");
}
