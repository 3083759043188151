//! The end of a process tree. All of it are, or become when their parents die, children of this
//! process, the subreaper; a child that was not waited for cannot have its pid reused.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, pidfd_open, wait,
    },
};

/// Against a tree that forks faster than it dies, or one in an uninterruptible sleep.
const ROUNDS: usize = 200;
const LIMIT: Duration = Duration::from_secs(10);
/// How long one round waits for one killed process; it usually takes well under a millisecond.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

pub(super) struct End {
    /// How the CLI itself ended; `None` if it is among those left.
    pub(super) status: Option<WaitStatus>,
    /// Processes that would not die.
    pub(super) left: usize,
}

/// Kills the whole tree with SIGKILL, which works on stopped processes too, and waits for it. At once
/// and not TERM first: nobody reads the output any more, and a session survives it.
pub(super) fn kill(cli: Pid) -> End {
    let mut status = None;
    let mut note = |pid: Pid, how: WaitStatus| {
        if pid == cli {
            status = Some(how);
        }
    };
    let start = Instant::now();
    for _ in 0..ROUNDS {
        // First the dead: the CLI's own exit code counts, not the KILL below.
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, how))) => note(pid, how),
                Ok(None) => break,
                Err(Errno::INTR) => {}
                Err(_) => return End { status, left: 0 },
            }
        }
        let children = children();
        for child in &children {
            let _not_a_leader = kill_process_group(*child, Signal::KILL);
            let _just_ended = kill_process(*child, Signal::KILL);
        }
        for child in &children {
            await_end(*child);
        }
        if start.elapsed() > LIMIT {
            break;
        }
    }
    End { status, left: children().len() }
}

fn await_end(child: Pid) {
    if let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty()) {
        let _next_round_looks_again = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&PATIENCE));
    }
}

/// Our children. May miss some while they come and go; the rounds end only when there are none.
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_pid();
    // Single-threaded: the one thread's id is the process's.
    match fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect(),
        Err(_) => children_by_scan(own),
    }
}

/// For kernels built without CONFIG_PROC_CHILDREN.
fn children_by_scan(parent: i32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // `pid (name) state ppid ...`, and the name may hold parentheses.
            let ppid: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            if ppid == parent { Pid::from_raw(pid) } else { None }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_without_the_children_file() {
        #[expect(clippy::disallowed_methods, reason = "a child to find")]
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children_by_scan(rustix::process::getpid().as_raw_pid());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&Pid::from_child(&child)), "{found:?}");
    }
}
