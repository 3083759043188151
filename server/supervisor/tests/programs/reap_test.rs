//! This room's test programs in one binary: the reaper, a made-up CLI, its stubborn descendants, and an
//! owner of a supervised process that a test can kill.

mod fake_cli;
mod owner;

use std::{
    env,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::Command,
    thread,
};

fn main() {
    let first = env::args().nth(1).unwrap_or_default();
    match first.as_str() {
        "__reap" => claude_comms_supervisor::run_reaper(env::args_os()),
        "-p" => fake_cli::run(),
        "owner" => owner::run(),
        "descendant" => descendant(env::args().skip(2).collect()),
        other => panic!("{other:?} is none of the test programs"),
    }
}

/// Ignores what can be ignored and never ends by itself. `descendant [setsid] [then ARGUMENTS...]`:
/// first leaves its session, and starts another descendant with the arguments behind `then`.
fn descendant(arguments: Vec<String>) {
    ignore_signals();
    if arguments.first().is_some_and(|argument| argument == "setsid") {
        rustix::process::setsid().expect("a fresh process leads no group");
    }
    match arguments.iter().position(|argument| argument == "then") {
        Some(then) => spawn_descendant(&arguments[then + 1..], io::stdin().as_fd().try_clone_to_owned()),
        // The last one: stdin is the pipe on which the first waits for the whole tree.
        None => {
            io::stdin().as_fd().try_clone_to_owned().map(File::from).and_then(|mut up| up.write_all(b"up"))
        }
    }
    .expect("the tree grows");
    loop {
        thread::park();
    }
}

/// Starts a child, a grandchild that leaves the session, and a child of that; returns when all are there.
fn spawn_tree() -> io::Result<()> {
    let (mut complete, up) = io::pipe()?;
    spawn_descendant(&["then", "setsid", "then", "inner"].map(str::to_owned), Ok(up.into()))?;
    complete.read_exact(&mut [0; 2])
}

fn spawn_descendant(arguments: &[String], up: io::Result<OwnedFd>) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a tree to be killed")]
    let mut command = Command::new("/proc/self/exe");
    command.arg("descendant").args(arguments).stdin(up?).spawn()?;
    Ok(())
}

fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition and no handler runs.
        #[expect(unsafe_code, reason = "rustix has no sigaction")]
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}
