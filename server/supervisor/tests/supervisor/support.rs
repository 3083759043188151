//! A supervisor in a temporary directory, the fake CLI to start, and a look at processes from outside.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use claude_comms_stream_json::turn::{Outcome, TurnUpdate};
use claude_comms_supervisor::{
    ExitInfo, Launch, Options, Process, Program, Session, StartError, Stop, Supervisor, TurnUpdates,
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The reaper, fake CLI and owner.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_reap-test");
const PATIENCE: Duration = Duration::from_secs(20);

/// A supervisor of its own name. At its end nothing with that name may be alive.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) owner: String,
    pub(crate) tracker: TaskTracker,
    pub(crate) supervisor: Supervisor,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = format!("test-{}", Uuid::new_v4());
        let mut options = Options::new(&owner, directory.path().join("instances"));
        options.reaper = PathBuf::from(PROGRAM);
        change(&mut options);
        let tracker = TaskTracker::new();
        let supervisor = Supervisor::new(options, tracker.clone());
        Self { directory, owner, tracker, supervisor }
    }

    /// Starts the fake CLI in this mode.
    pub(crate) async fn start(&self, mode: &str) -> Process {
        self.try_start(fake(mode)).await.unwrap()
    }

    pub(crate) async fn try_start(&self, launch: Launch) -> Result<Process, StartError> {
        in_time("start", self.supervisor.start(launch)).await
    }

    pub(crate) fn processes(&self) -> Vec<Found> {
        processes(&self.owner)
    }

    pub(crate) async fn until_nothing_is_left(&self) {
        until(|| self.processes().is_empty(), || format!("left: {:?}", self.processes())).await;
    }

    /// Stops the process, then as [`finish`](Self::finish).
    pub(crate) async fn finish_with(self, process: Process) {
        in_time("the stop", process.stop(Stop::Now)).await;
        self.finish().await;
    }

    /// Every task has ended and every process is gone.
    pub(crate) async fn finish(self) {
        self.tracker.close();
        in_time("the tasks' end", self.tracker.wait()).await;
        assert_eq!(self.processes(), []);
    }
}

pub(crate) fn fake(mode: &str) -> Launch {
    Launch {
        instance: format!("i-{}", Uuid::new_v4()),
        program: Program::Claude { binary: PathBuf::from(PROGRAM) },
        session: Session::New { id: Uuid::new_v4() },
        transcript: None,
        model: None,
        system_prompt: None,
        environment: BTreeMap::from([("FAKE_CLI".to_owned(), mode.to_owned())]),
        extra_args: Vec::new(),
    }
}

pub(crate) async fn send(process: &Process, prompt: &str) -> TurnUpdates {
    in_time("send", process.send(Uuid::new_v4(), prompt.to_owned())).await.unwrap()
}

pub(crate) async fn ask(process: &Process, prompt: &str) -> String {
    match finish(&mut send(process, prompt).await).await {
        Some(Outcome::Answer { text }) => text,
        other => panic!("{other:?}"),
    }
}

/// Reads to the turn's end; `None` if the process ended first.
pub(crate) async fn finish(updates: &mut TurnUpdates) -> Option<Outcome> {
    let mut outcome = None;
    while let Some(batch) = in_time("the next batch", updates.next()).await {
        assert!(outcome.is_none(), "a batch after the end: {batch:?}");
        if let Some(TurnUpdate::End(end)) = batch.last() {
            outcome = Some(end.outcome.clone());
        }
    }
    outcome
}

pub(crate) async fn exited(process: &Process) -> ExitInfo {
    in_time("the exit", process.exited()).await
}

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits for a condition outside this process, which nothing announces.
pub(crate) async fn until(condition: impl Fn() -> bool, why: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{}", why());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A process as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) pid: i32,
    pub(crate) arguments: String,
    /// `R`, `S`, `T` (stopped), ...
    pub(crate) state: char,
    pub(crate) session: i32,
}

impl Found {
    pub(crate) fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Self {
            pid,
            arguments: String::from_utf8_lossy(&arguments).replace('\0', " ").trim().to_owned(),
            state: fields[0].chars().next()?,
            session: fields[3].parse().ok()?,
        })
    }
}

/// All processes with this owner's mark.
pub(crate) fn processes(owner: &str) -> Vec<Found> {
    let mark = format!("INSTANCE_OWNER={owner}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            found.extend(Found::read(pid));
        }
    }
    found
}

/// Whether the whole tree of the fake CLI's mode `tree` is up: reaper, CLI, child, a grandchild in its own
/// session and that one's child.
pub(crate) fn is_complete_tree(found: &[Found]) -> bool {
    let own_session = found
        .iter()
        .any(|process| process.arguments.contains("descendant setsid") && process.session == process.pid);
    found.len() == 5
        && own_session
        && found.iter().any(|process| process.arguments.ends_with("descendant inner"))
}

pub(crate) fn kill(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A file that can be executed. Written by another process: were it open for writing in this one, a
/// child that another test starts just then would hold it open too, and executing it would fail.
pub(crate) fn script(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "an ordinary child")]
    let mut command = Command::new("/bin/sh");
    let status =
        command.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(path).arg(text).status();
    assert!(status.unwrap().success());
}
