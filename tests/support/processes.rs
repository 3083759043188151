//! The process table of one test's world: every process whose environment names the world's directory, whoever its parent
//! is now. It reads `/proc` and touches nothing.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::wait::{blocking, eventually};

/// How long processes may take to be gone once their server is.
pub const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What a process is, by its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `claude-comms serve`.
    Server,
    /// A reaper: `claude-comms __reap`.
    Reaper,
    /// A simulated Claude: `claude-comms __simulate`.
    Simulated,
    /// The real Claude CLI.
    Claude,
    /// Anything else, such as a grandchild or a client.
    Other,
}

/// One process as it was when the table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its ID.
    pub pid: u32,
    /// Its parent's ID.
    pub parent: u32,
    /// State letter of `/proc/PID/stat`: `R`, `S`, `T` (stopped), `Z` (ended, not awaited), ...
    pub state: char,
    /// What it is.
    pub kind: Kind,
    /// Its arguments, the program first.
    pub arguments: Vec<String>,
}

/// The processes that belong to a world.
#[derive(Debug, Clone)]
pub struct Processes {
    mark: PathBuf,
}

impl Processes {
    /// Those whose environment holds this path.
    #[must_use]
    pub fn marked_by(path: &Path) -> Self {
        Self { mark: path.to_path_buf() }
    }

    /// All of them, by ID. A process that ended but was not awaited has no environment and is not among them; see [`zombies_of`].
    #[must_use]
    pub fn all(&self) -> Vec<Process> {
        let mut all: Vec<Process> =
            process_ids().filter(|pid| self.is_marked(*pid)).filter_map(read).collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    /// Those of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Vec<Process> {
        self.all().into_iter().filter(|process| process.kind == kind).collect()
    }

    /// The Claude processes, real or simulated.
    #[must_use]
    pub fn claudes(&self) -> Vec<Process> {
        self.all()
            .into_iter()
            .filter(|process| matches!(process.kind, Kind::Claude | Kind::Simulated))
            .collect()
    }

    /// Waits until none is left.
    ///
    /// # Panics
    /// When one is left after [`GONE_WITHIN`].
    pub async fn await_gone(&self) {
        eventually(GONE_WITHIN, "no process left", async || self.all().is_empty().then_some(())).await;
    }

    /// Waits until none is left, blocking; returns those that are.
    #[must_use]
    pub fn left_over(&self) -> Vec<Process> {
        let mut left = Vec::new();
        let gone = blocking(GONE_WITHIN, || {
            left = self.all();
            left.is_empty()
        });
        if gone { Vec::new() } else { left }
    }

    /// Kills what is left, so that one failed test leaves nothing for the next.
    pub fn kill(&self) {
        for process in self.all() {
            // It may end between the look and the kill.
            let _ = rustix::process::kill_process(raw_id(process.pid), rustix::process::Signal::KILL);
        }
    }

    fn is_marked(&self, pid: u32) -> bool {
        // Unreadable means another user's, or gone by now: not ours either way.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mark = self.mark.as_os_str().as_bytes();
        environment.windows(mark.len()).any(|window| window == mark)
    }
}

/// Children of `pid` that ended and were not awaited.
#[must_use]
pub fn zombies_of(pid: u32) -> Vec<Process> {
    process_ids().filter_map(read).filter(|process| process.parent == pid && process.state == 'Z').collect()
}

/// One process, if it exists.
#[must_use]
pub fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets too: fields are counted after the last one.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|argument| !argument.is_empty())
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    Some(Process { pid, parent, state, kind: kind(&arguments), arguments })
}

fn kind(arguments: &[String]) -> Kind {
    let program = arguments.first().map(String::as_str).unwrap_or_default();
    match arguments.get(1).map(String::as_str) {
        Some("__reap") => Kind::Reaper,
        Some("__simulate") => Kind::Simulated,
        _ if Path::new(program).file_name().is_some_and(|name| name == "claude") => Kind::Claude,
        _ if arguments.iter().any(|argument| argument == "serve") && program.ends_with("claude-comms") => {
            Kind::Server
        }
        _ => Kind::Other,
    }
}

fn process_ids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .expect("these tests need /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether the process exists and has not ended.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    read(pid).is_some_and(|process| process.state != 'Z')
}

/// How many file descriptors a process has open.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives and is ours").count()
}

/// What a process holds in memory now (RSS), in bytes.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a living process has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB");
    kib << 10
}

/// Sends a signal to a process of the test's world.
///
/// # Panics
/// When there is no such process.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    rustix::process::kill_process(raw_id(pid), signal).expect("the process lives and is ours");
}

/// As [`signal`], for a process that may end at any moment; returns whether it was there.
pub fn signal_if_there(pid: u32, signal: rustix::process::Signal) -> bool {
    rustix::process::kill_process(raw_id(pid), signal).is_ok()
}

/// Limits how many descriptors a running process may have open from now on; returns the limit it had.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn limit_descriptors(pid: u32, most: Option<u64>) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let maximum = {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process lives");
        let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("it has this limit");
        line.split_whitespace().nth(4).and_then(|hard| hard.parse().ok())
    };
    let limit = Rlimit { current: most, maximum };
    prlimit(Some(raw_id(pid)), Resource::Nofile, limit).expect("the process lives and is ours").current
}

fn raw_id(pid: u32) -> rustix::process::Pid {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process ID")
}
