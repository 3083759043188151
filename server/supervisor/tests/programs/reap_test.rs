//! This room's test programs in one binary: the reaper, a made-up CLI, its stubborn descendants, and an
//! owner of a supervised process that a test can kill.

mod fake_cli;
mod owner;

use std::{env, process::Command, thread};

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
    if let Some(then) = arguments.iter().position(|argument| argument == "then") {
        spawn_descendant(&arguments[then + 1..]);
    }
    loop {
        thread::park();
    }
}

#[expect(clippy::zombie_processes, reason = "the reaper under test is who waits")]
fn spawn_descendant(arguments: &[String]) {
    #[expect(clippy::disallowed_methods, reason = "a tree to be killed")]
    let mut command = Command::new("/proc/self/exe");
    command.arg("descendant").args(arguments).spawn().expect("this program starts itself");
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
