//! The CLI: is it there, which version, and how long does it take to start and to stop. The process tried is the
//! diagnosis' own and counts in no pool.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use claude_comms_supervisor::{
    Launch, ProbeError, Process, Program, Session, StartError, Stop, probe_version,
};
use uuid::Uuid;

use super::{run::Subject, verdict::Found};
use crate::{
    backend::{chain, find_program},
    config::BackendKind,
};

/// A start takes 0.4 s on a quiet machine, 1 to 3 s on a busy one.
const SLOW_START: Duration = Duration::from_secs(10);
/// How long a process may take to say how it is logged in.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn check(subject: &Subject) -> Found {
    if subject.is_simulated() {
        return Found::ok("the simulated CLI, a part of this program").with("backend", "simulated");
    }
    let path = program(subject);
    let running = subject.attached.as_ref().map(|attached| attached.backend.version()).unwrap_or_default();
    match probe_version(&path).await {
        Ok(version) => {
            let version = version.to_string();
            let said = format!("Claude Code {version} at {}", path.display());
            let found = if running.is_empty() || running == version {
                Found::ok(said)
            } else {
                Found::warning(
                    format!("{said}, but the server found {running} when it started"),
                    "restart the server, so that what it says of the CLI is true again",
                )
            };
            found.with("path", path.display()).with("version", version)
        }
        Err(error) => Found::problem(chain(&error), remedy(&error)).with("path", path.display()),
    }
}

fn remedy(error: &ProbeError) -> &'static str {
    match error {
        ProbeError::NotFound { .. } => {
            "install it (npm install -g @anthropic-ai/claude-code), or set claude.binary to its path; no restart is needed"
        }
        ProbeError::NotExecutable { .. } => {
            "check its mode, and that it is built for this machine, or set claude.binary"
        }
        ProbeError::TooOld { .. } => "update it (claude update); no restart is needed",
        _ => "set claude.binary to the claude program",
    }
}

pub(super) async fn start(subject: &Subject) -> Found {
    let begun = Instant::now();
    let trial = match Trial::start(subject, None).await {
        Ok(trial) => trial,
        Err(error) => return not_started(&error),
    };
    let started = begun.elapsed();
    let status = trial.process.status(STATUS_LIMIT).await;
    let begun = Instant::now();
    trial.end().await;
    let stopped = begun.elapsed();
    let said = format!("a process starts in {} and stops in {}", ms(started), ms(stopped));
    let credential = status.as_ref().ok().and_then(|report| report.answer.as_ref()?.credential());
    let credential = credential.unwrap_or_default().to_owned();
    let found = match status {
        Err(error) => Found::problem(
            format!("{said}, but it does not say how it is: {error}"),
            "see whether the machine is overloaded; update the CLI (claude update)",
        ),
        Ok(_) if started > SLOW_START => Found::warning(
            said,
            "the disk or the machine is slow: see what else runs; later starts are faster, from the disk's cache",
        ),
        Ok(_) => Found::ok(said),
    };
    found
        .with("start_ms", started.as_millis())
        .with("stop_ms", stopped.as_millis())
        .with("credential_in_use", credential)
}

/// What a process that did not start comes to.
pub(super) fn not_started(error: &StartError) -> Found {
    let remedy = match error {
        StartError::NotFound { .. } | StartError::NotExecutable { .. } => {
            "install the CLI, or set claude.binary to its path"
        }
        StartError::Spawn { .. } => {
            "the system refuses new processes: see the limits of memory, tasks and descriptors"
        }
        StartError::Directories { .. } | StartError::Transcript { .. } => {
            "give the server's user the right to write to data_dir, and make room on its disk"
        }
        StartError::Timeout { .. } => {
            "see whether the machine is overloaded, and what the CLI says by hand: claude -p hello"
        }
        _ => "see what the CLI says by hand: claude -p hello; check claude.extra_args and claude.environment",
    };
    Found::problem(format!("no process could be started: {}", chain(error)), remedy)
}

pub(super) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn program(subject: &Subject) -> PathBuf {
    find_program(&subject.config.claude.binary, &subject.config.instance_environment)
}

/// A process of the diagnosis, with a directory of its own.
pub(super) struct Trial<'s> {
    pub(super) process: Process,
    directory: Directory<'s>,
}

/// Removed whatever happens.
struct Directory<'s> {
    subject: &'s Subject,
    name: String,
}

impl Drop for Directory<'_> {
    fn drop(&mut self) {
        // What is left is removed at the server's next start.
        let _ = self.subject.supervisor.remove_instance_dir(&self.name);
    }
}

impl<'s> Trial<'s> {
    pub(super) async fn start(subject: &'s Subject, model: Option<String>) -> Result<Self, StartError> {
        let config = &subject.config;
        let name = format!("doctor{}", &Uuid::new_v4().simple().to_string()[..6]);
        let launch = Launch {
            instance: name.clone(),
            program: match config.backend {
                BackendKind::Claude => Program::Claude { binary: program(subject) },
                BackendKind::Simulated => Program::Simulated { scenario: config.scenario.clone() },
            },
            session: Session::New { id: Uuid::new_v4() },
            transcript: None,
            model: model.or_else(|| config.claude.model.clone()),
            system_prompt: None,
            environment: config.instance_environment.0.clone(),
            extra_args: config.claude.extra_args.clone(),
        };
        let directory = Directory { subject, name };
        Ok(Self { process: subject.supervisor.start(launch).await?, directory })
    }

    /// Ends the process and removes what it left.
    pub(super) async fn end(self) {
        let Self { process, directory } = self;
        let _exit = process.stop(Stop::Graceful).await;
        drop(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Verdict;

    #[test]
    fn each_way_not_to_start_has_its_remedy() {
        let program = PathBuf::from("/claude");
        let io = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let after = Duration::from_secs(60);
        for (error, remedy) in [
            (StartError::NotFound { program: program.clone() }, "install"),
            (StartError::NotExecutable { program: program.clone(), source: io() }, "claude.binary"),
            (StartError::Spawn { reaper: program, source: io() }, "limits"),
            (StartError::Directories { instance: "a".into(), source: io() }, "data_dir"),
            (StartError::Timeout { after, stderr: "said".into() }, "overloaded"),
            (StartError::Exited { code: Some(1), stderr: "said".into() }, "extra_args"),
        ] {
            let found = not_started(&error);
            assert!(found.verdict == Verdict::Problem && found.remedy.contains(remedy), "{found:?}");
        }
    }
}
