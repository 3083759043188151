//! The handle of the room: starts processes, sweeps leftovers, knows the instances' directories.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use tracing::debug;
use uuid::Uuid;

use crate::{
    ExitCause, ExitInfo, Launch, Options, Process, ProcessState, Session, StartError, Stop, SweepReport,
    dirs::InstanceDirs,
    environment::{self, Lock},
    facts::children,
    process::{MAILBOX, ProcessTask, Request, exited},
    reaper::{CANNOT_START, EXIT_CANNOT_START},
    spawn::{Spawned, spawn},
    sweep::sweep,
};

/// How often a reaper that has just been spawned is looked at for its program: it takes some milliseconds.
const CHILD_LOOK: Duration = Duration::from_millis(2);

/// Starts processes; cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    options: Arc<Options>,
    tracker: TaskTracker,
}

impl Supervisor {
    /// Each process gets one task, on `tracker`; it ends when the process's tree is gone.
    pub fn new(options: Options, tracker: TaskTracker) -> Self {
        Self { options: Arc::new(options), tracker }
    }

    /// Starts a process and returns once it has answered `initialize`.
    ///
    /// # Errors
    /// [`StartError`], with the end of the process's stderr where there was a process. Nothing of it is
    /// left running then.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started so far.
    pub async fn start(&self, launch: Launch) -> Result<Process, StartError> {
        let (spawned, program) = self.spawn(&launch).await?;
        let reaper = spawned.reaper.id().unwrap_or_default();
        let (requests, mailbox) = mpsc::channel(MAILBOX);
        let (state, mut states) = watch::channel(ProcessState::Starting);
        let (ready, answered) = oneshot::channel();
        let mut task = ProcessTask::new(spawned, Options::clone(&self.options), mailbox, state);
        task.initialize(launch.system_prompt.as_deref(), ready);
        self.tracker.spawn(task.run());

        match tokio::time::timeout(self.options.initialize_timeout, answered).await {
            Ok(Ok(ready)) => {
                debug!(instance = %launch.instance, process_id = ready.process_id, "process started");
                Ok(Process::new(requests, states, ready, reaper))
            }
            Ok(Err(_died)) => {
                Err(start_error(exited(&mut states).await, &launch.session, &program, &self.options))
            }
            Err(_elapsed) => {
                let _just_ended = requests.send(Request::Stop(Stop::Now)).await;
                let stderr = exited(&mut states).await.stderr;
                Err(StartError::Timeout { after: self.options.initialize_timeout, stderr })
            }
        }
    }

    /// Starts a process to which nothing is written before it is [claimed](Process::claim); returns once the program
    /// runs, which is before it would answer. The launch's system prompt is unused.
    ///
    /// # Errors
    /// As [`Self::start`].
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started so far.
    pub async fn park(&self, launch: Launch) -> Result<Process, StartError> {
        let (spawned, program) = self.spawn(&launch).await?;
        let reaper = spawned.reaper.id().unwrap_or_default();
        let (requests, mailbox) = mpsc::channel(MAILBOX);
        let (state, mut states) = watch::channel(ProcessState::Parked);
        let task = ProcessTask::new(spawned, Options::clone(&self.options), mailbox, state);
        let stderr = task.stderr_feed();
        self.tracker.spawn(task.run());

        let limit = self.options.initialize_timeout;
        let mut until_gone = states.clone();
        tokio::select! {
            exit = exited(&mut until_gone) => Err(start_error(exit, &launch.session, &program, &self.options)),
            process_id = first_child(reaper) => {
                debug!(instance = %launch.instance, process_id, "process parked");
                Ok(Process::parked(requests, states, process_id, stderr, reaper))
            }
            () = tokio::time::sleep(limit) => {
                let _just_ended = requests.send(Request::Stop(Stop::Now)).await;
                Err(StartError::Timeout { after: limit, stderr: exited(&mut states).await.stderr })
            }
        }
    }

    /// Makes the directories and spawns; returns the program's path too.
    async fn spawn(&self, launch: &Launch) -> Result<(Spawned, PathBuf), StartError> {
        let dirs = self.prepare(launch).await?;
        let program = launch.executable(&self.options.reaper);
        let lock = Lock::of(&launch.environment, self.options.config_dir.as_deref());
        let environment = environment::complete(&launch.environment, &self.options.owner, &dirs, lock);
        let arguments = launch.arguments(lock);
        let spawned = spawn(&self.options.reaper, &program, &arguments, &environment, &dirs.cwd())
            .map_err(|source| StartError::Spawn { reaper: self.options.reaper.clone(), source })?;
        Ok((spawned, program))
    }

    /// Kills what an earlier server with our `owner` left behind. Only for start-up, under the lock that
    /// makes us the one server with that name: it would kill our own processes too.
    pub async fn sweep(&self) -> SweepReport {
        let owner = self.options.owner.clone();
        tokio::task::spawn_blocking(move || sweep(&owner)).await.unwrap_or_default()
    }

    /// Removes an instance's directory with all that is in it, its sessions too unless they are kept in an operator's
    /// directory. Absent: nothing happens.
    ///
    /// # Errors
    /// As [`std::fs::remove_dir_all`]; `InvalidInput` for a name that is not one plain directory name.
    pub fn remove_instance_dir(&self, instance: &str) -> io::Result<()> {
        self.dirs(instance)?.remove()
    }

    /// Where the CLI of this instance keeps, or will keep, the session. For an invalid instance name a
    /// path that does not exist.
    pub fn session_file(&self, instance: &str, session: Uuid) -> PathBuf {
        match self.dirs(instance) {
            Ok(dirs) => dirs.session_file(session),
            Err(_) => self.options.instances_dir.join(".invalid").join(format!("{session}.jsonl")),
        }
    }

    fn dirs(&self, instance: &str) -> io::Result<InstanceDirs> {
        InstanceDirs::below(&self.options.instances_dir, instance, self.options.config_dir.as_deref())
    }

    async fn prepare(&self, launch: &Launch) -> Result<InstanceDirs, StartError> {
        let instance = launch.instance.clone();
        let dirs =
            self.dirs(&instance).map_err(|_| StartError::InvalidInstance { instance: instance.clone() })?;
        let lent = launch.session.history().zip(launch.transcript.clone());
        let prepared = dirs.clone();
        // Files, maybe a large copy: not on a worker of the runtime.
        let work = move || {
            prepared.create().map_err(|source| StartError::Directories { instance, source })?;
            if let Some((session, path)) = lent {
                let result = prepared.lend(&path, session);
                result.map_err(|source| StartError::Transcript { path, source })?;
            }
            Ok(())
        };
        let joined = tokio::task::spawn_blocking(work).await;
        joined.map_err(|error| StartError::Directories {
            instance: launch.instance.clone(),
            source: io::Error::other(error),
        })??;
        Ok(dirs)
    }
}

/// The program below a reaper, once it is there. For a reaper that ends without one this never resolves.
async fn first_child(reaper: u32) -> u32 {
    loop {
        if let Some(child) = children(reaper).first() {
            return *child;
        }
        tokio::time::sleep(CHILD_LOOK).await;
    }
}

/// What the end of a process during its start means.
fn start_error(exit: ExitInfo, session: &Session, program: &Path, options: &Options) -> StartError {
    let ExitInfo { code, cause, stderr } = exit;
    if let ExitCause::Protocol(message) = cause {
        return StartError::Protocol { message, stderr };
    }
    if code == Some(EXIT_CANNOT_START)
        && let Some(number) = cannot_start(&stderr)
    {
        return not_started(number, program, options);
    }
    // Said on stderr (and, for the first two, as a result) before `initialize` is answered, 2.1.330.
    let (Session::New { id } | Session::Resume { id } | Session::Fork { id, .. }) = session;
    let missing = ["No conversation found with session ID", "No message found with message.uuid"];
    if let Some(session) = session.history()
        && missing.iter().any(|text| stderr.contains(text))
    {
        return StartError::SessionNotFound { session, stderr };
    }
    if stderr.contains("Session ID") && stderr.contains("already in use") {
        return StartError::SessionInUse { session: *id, stderr };
    }
    StartError::Exited { code, stderr }
}

/// The OS error number in the reaper's last words.
fn cannot_start(stderr: &str) -> Option<i32> {
    stderr.lines().find_map(|line| line.strip_prefix(CANNOT_START)?.split(':').next()?.parse().ok())
}

fn not_started(number: i32, program: &Path, options: &Options) -> StartError {
    let program = program.to_owned();
    let source = io::Error::from_raw_os_error(number);
    match number {
        // For a script with a missing interpreter the system says the same as for a missing file.
        libc::ENOENT | libc::ENOTDIR if !program.exists() => StartError::NotFound { program },
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EBADF | libc::ESRCH | 0 => {
            StartError::Spawn { reaper: options.reaper.clone(), source }
        }
        _ => StartError::NotExecutable { program, source },
    }
}
