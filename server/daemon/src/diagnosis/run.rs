//! The order of the checks, and what each works with.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use claude_comms_store::Store;
use claude_comms_supervisor::Supervisor;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use super::{
    access, cli, clock, directories, limits, login, store, tls, turn,
    verdict::{CheckResult, Found, Verdict},
};
use crate::{
    backend::Backend,
    config::{BackendKind, Config, Listen, Settings},
};

/// How long a check of files and figures may take: longer only where a file system hangs.
const QUICK: Duration = Duration::from_secs(10);
/// How long a store may take to be looked at: after a kill the whole file is read.
const STORE: Duration = Duration::from_secs(60);
/// The version has 10 s of its own, a start 60 s, a stop 5 s.
const CLI: Duration = Duration::from_secs(15);
const START: Duration = Duration::from_secs(80);
/// How long what was tried may take to end.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What is to be checked beside the usual.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Make one real turn, which costs.
    pub turn: bool,
    /// Its model; the configured one otherwise.
    pub model: Option<String>,
}

/// The running server that is diagnosed.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub store: Arc<dyn Store>,
    pub backend: Arc<dyn Backend>,
    /// Both clocks at its start.
    pub started: (Instant, SystemTime),
}

/// Everything the checks of one run look at.
#[derive(Debug)]
pub(super) struct Subject {
    /// The settings as they are when the run begins.
    pub(super) config: Arc<Config>,
    pub(super) supervisor: Supervisor,
    /// `None` where no server runs.
    pub(super) attached: Option<Attached>,
}

/// Where runs happen.
#[derive(Debug)]
struct Place {
    settings: Settings,
    supervisor: Supervisor,
    attached: Option<Attached>,
    /// Where no server runs: a directory of the diagnosis' own, removed with it, and who waits for its processes.
    scratch: Option<(PathBuf, TaskTracker)>,
    /// One diagnosis at a time: each starts a process beside the pool's.
    seat: Semaphore,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((scratch, _)) = &self.scratch {
            // Nothing was made in it unless a process was started.
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

/// The checks of one server, or of the settings a server would have; cheap to clone.
#[derive(Debug, Clone)]
pub struct Diagnosis(Arc<Place>);

impl Diagnosis {
    /// Of a server that runs.
    pub(crate) fn attached(settings: Settings, supervisor: Supervisor, attached: Attached) -> Self {
        let seat = Semaphore::new(1);
        Self(Arc::new(Place { settings, supervisor, attached: Some(attached), scratch: None, seat }))
    }

    /// Of the place where a server with these settings would run. To be [ended](Self::end).
    pub fn local(config: Config) -> Self {
        let tracker = TaskTracker::new();
        // Nobody can know the name before and put something of his own there.
        let scratch =
            std::env::temp_dir().join(format!("claude-comms-doctor-{}", uuid::Uuid::new_v4().simple()));
        let owner = format!("doctor-{}", uuid::Uuid::new_v4());
        let mut options = claude_comms_supervisor::Options::new(owner, &scratch);
        options.reaper.clone_from(&config.own_binary);
        // One that cannot be used is told by `login`.
        options.config_dir = crate::login::config_dir(&config).ok().flatten();
        let supervisor = Supervisor::new(options, tracker.clone());
        let (scratch, seat) = (Some((scratch, tracker)), Semaphore::new(1));
        let settings = Settings::new(config);
        Self(Arc::new(Place { settings, supervisor, attached: None, scratch, seat }))
    }

    /// Waits until what was tried without a server has ended, if it does so in its time.
    pub async fn end(self) {
        if let Some((_, tracker)) = &self.0.scratch {
            tracker.close();
            // The reaper ends what is left with this process.
            let _ = tokio::time::timeout(END_LIMIT, tracker.wait()).await;
        }
    }

    /// Runs all checks and sends each result when it is there. Ends early when nobody listens any more.
    ///
    /// # Cancel safety
    /// Dropping the future ends the process that is being tried.
    pub async fn run(&self, wish: Wish, results: mpsc::Sender<CheckResult>) {
        let Ok(_seat) = self.0.seat.acquire().await else { return };
        let subject = Arc::new(Subject {
            config: self.0.settings.now(),
            supervisor: self.0.supervisor.clone(),
            attached: self.0.attached.clone(),
        });
        // Nobody listens: nothing else has to be found out.
        let _left = subject.all(wish, &results).await;
    }
}

impl Subject {
    async fn all(self: &Arc<Self>, wish: Wish, results: &mpsc::Sender<CheckResult>) -> Result<(), Left> {
        let files = |check: fn(&Subject) -> Found| {
            let subject = Arc::clone(self);
            async move { blocking(move || check(&subject)).await }
        };
        send(results, "clock", QUICK, files(clock::check)).await?;
        send(results, "directories", QUICK, files(directories::check)).await?;
        send(results, "disk", QUICK, files(directories::disk)).await?;
        let subject = Arc::clone(self);
        send(results, "store", STORE, async move { store::check(&subject).await }).await?;
        let subject = Arc::clone(self);
        send(results, "socket", QUICK, async move { access::sockets(&subject).await }).await?;
        send(results, "token", QUICK, files(access::token)).await?;
        send(results, "tls", QUICK, files(tls::check)).await?;
        send(results, "descriptors", QUICK, files(limits::descriptors)).await?;
        send(results, "memory", QUICK, files(limits::memory)).await?;
        send(results, "cgroup", QUICK, files(limits::cgroup)).await?;
        let subject = Arc::clone(self);
        let usable = send(results, "cli", CLI, async move { cli::check(&subject).await }).await?;
        send(results, "login", QUICK, files(login::check)).await?;
        if usable == Verdict::Problem {
            let found = || async { Found::skipped("the CLI cannot be used: see `cli`") };
            send(results, "cli_start", QUICK, found()).await?;
            if wish.turn {
                send(results, "turn", QUICK, found()).await?;
            }
            return Ok(());
        }
        let subject = Arc::clone(self);
        send(results, "cli_start", START, async move { cli::start(&subject).await }).await?;
        if wish.turn {
            let subject = Arc::clone(self);
            let limit = START + turn::ANSWER_LIMIT;
            send(results, "turn", limit, async move { turn::check(&subject, wish.model).await }).await?;
        }
        Ok(())
    }

    pub(super) fn is_simulated(&self) -> bool {
        self.config.backend == BackendKind::Simulated
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = &PathBuf> {
        self.config.listen.iter().filter_map(|listen| match listen {
            Listen::Unix(path) => Some(path),
            _ => None,
        })
    }
}

/// Nobody listens any more.
struct Left;

/// Runs a check within its time and sends what it found: also when it takes too long, or panics.
async fn send(
    results: &mpsc::Sender<CheckResult>,
    check: &'static str,
    limit: Duration,
    work: impl Future<Output = Found> + Send + 'static,
) -> Result<Verdict, Left> {
    let result = bounded(check, limit, work).await;
    let verdict = result.verdict;
    results.send(result).await.map_err(|_| Left)?;
    Ok(verdict)
}

async fn bounded(
    check: &'static str,
    limit: Duration,
    work: impl Future<Output = Found> + Send + 'static,
) -> CheckResult {
    let start = Instant::now();
    let mut task = JoinSet::new();
    task.spawn(work);
    let found = match tokio::time::timeout(limit, task.join_next()).await {
        Ok(Some(Ok(found))) => found,
        Ok(_) => broken(),
        Err(_) => Found::problem(
            format!("no result within {} s", limit.as_secs()),
            "a file system, the CLI or the machine hangs: see the other checks, and the system's log",
        ),
    };
    let Found { verdict, message, remedy, details } = found;
    CheckResult { check, verdict, message, remedy, duration: start.elapsed(), details }
}

/// Files may be on a file system that hangs: not on a thread of the runtime.
pub(super) async fn blocking(work: impl FnOnce() -> Found + Send + 'static) -> Found {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| broken())
}

fn broken() -> Found {
    Found::problem(
        "the check itself failed",
        "this is a mistake of claude-comms: report it with the server's log",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_hangs_or_fails_is_a_problem_and_hides_no_other() {
        let (results, mut heard) = mpsc::channel(8);
        let hung = send(&results, "hung", Duration::from_millis(20), std::future::pending()).await;
        let failed = send(&results, "failed", QUICK, async { panic!("staged") }).await;
        let blocked = send(&results, "blocked", QUICK, blocking(|| panic!("staged"))).await;
        let good = send(&results, "good", QUICK, async { Found::ok("fine") }).await;
        let verdicts = [hung, failed, blocked, good].map(|verdict| verdict.ok());
        use Verdict::{Ok, Problem};
        assert_eq!(verdicts, [Some(Problem), Some(Problem), Some(Problem), Some(Ok)]);
        drop(results);
        let mut names = Vec::new();
        while let Some(result) = heard.recv().await {
            assert_eq!(result.remedy.is_empty(), result.verdict == Ok, "{result:?}");
            names.push(result.check);
        }
        assert_eq!(names, ["hung", "failed", "blocked", "good"]);
    }

    #[tokio::test]
    async fn nothing_more_is_checked_when_nobody_listens() {
        let (results, heard) = mpsc::channel(1);
        drop(heard);
        assert!(send(&results, "unheard", QUICK, async { Found::ok("fine") }).await.is_err());
    }
}
