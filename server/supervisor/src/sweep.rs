//! The second net: at start-up, processes of an earlier server with our identity that outlived it
//! (someone killed a reaper) are found by their environment and killed.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// A tree that forks while it is swept needs another look.
const ROUNDS: usize = 20;
/// How long all rounds together may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one killed process is waited for.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a sweep found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Processes killed, by pid.
    pub killed: Vec<u32>,
    /// Processes with our mark that did not die or may not be killed, by pid.
    pub survived: Vec<u32>,
}

/// Kills every process but this one whose environment holds `INSTANCE_OWNER=<owner>`. Blocking.
pub(crate) fn sweep(owner: &str) -> SweepReport {
    let mut report = SweepReport::default();
    if owner.is_empty() {
        return report;
    }
    let mark = format!("INSTANCE_OWNER={owner}");
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let marked = marked(&mark);
        report.survived = marked.iter().copied().map(number).collect();
        if marked.is_empty() || start.elapsed() > LIMIT {
            break;
        }
        for pid in marked {
            let known = report.killed.contains(&number(pid));
            if kill(pid, &mark).is_ok() && !known {
                report.killed.push(number(pid));
            }
        }
    }
    report.killed.retain(|pid| !report.survived.contains(pid));
    report
}

fn kill(pid: Pid, mark: &str) -> io::Result<()> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // Looked at again behind the pidfd: the number may have passed to a stranger before it was opened.
    if !has_mark(pid, mark) {
        return Err(io::ErrorKind::NotFound.into());
    }
    pidfd_send_signal(&process, Signal::KILL)?;
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&PATIENCE))?;
    Ok(())
}

fn marked(mark: &str) -> Vec<Pid> {
    let own = rustix::process::getpid();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != own && has_mark(*pid, mark)).collect()
}

/// Another user's environment cannot be read, and a zombie's is empty: neither is ours to kill.
fn has_mark(pid: Pid, mark: &str) -> bool {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid()))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().unsigned_abs()
}
