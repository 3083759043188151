//! Which session a process works on: from the flags `--session-id`, `--resume`,
//! `--fork-session` and `--resume-session-at`, with the real CLI's refusals.
//! Owns the rules of ids on disk; knows nothing of turns.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::flags::Flags;
use crate::history::History;
use crate::transcript::{self, Entry, Stamp, Transcript};

/// The version the simulated CLI gives as its own.
pub(crate) const VERSION: &str = "2.1.330-simulated";

/// Where a process finds itself.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) cwd: PathBuf,
    /// `CLAUDE_CONFIG_DIR`, else `HOME/.claude`.
    pub(crate) config_dir: PathBuf,
    pub(crate) process_id: u32,
    /// `CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS`.
    pub(crate) emit_session_state: bool,
}

/// A session ready for its first turn in this process.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session_id: String,
    pub(crate) transcript: Transcript,
    pub(crate) history: History,
    /// Uuids of the session's lines: a user message with one of them is a resend.
    pub(crate) seen: HashSet<String>,
}

/// A session that the real CLI refuses too; exit code 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("Error: Invalid session ID. Must be a valid UUID.")]
    InvalidId,
    #[error("Error: Session ID {0} is already in use.")]
    InUse(String),
    #[error(
        "Error: --session-id can only be used with --continue or --resume if --fork-session is also specified."
    )]
    IdWithoutFork,
    /// Also told on stdout, as a `result`.
    #[error("No conversation found with session ID: {0}")]
    NotFound(String),
    /// Also told on stdout, as a `result`.
    #[error("No message found with message.uuid of: {0}")]
    NoSuchMessage(String),
    #[error("Error: cannot read the session file")]
    Read(#[source] io::Error),
}

/// Finds and reads the session the flags name, or makes a new one. Writes nothing.
///
/// # Errors
/// [`OpenError`], whose text belongs on stderr.
pub(crate) fn open(flags: &Flags, surroundings: &Surroundings) -> Result<Opened, OpenError> {
    let Surroundings { cwd, config_dir, .. } = surroundings;
    if let Some(id) = &flags.session_id
        && Uuid::try_parse(id).is_err()
    {
        return Err(OpenError::InvalidId);
    }
    if flags.resume.is_some() && flags.session_id.is_some() && !flags.fork_session {
        return Err(OpenError::IdWithoutFork);
    }
    let new_id = || flags.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let Some(resume) = &flags.resume else {
        let id = new_id();
        let path = free_path(config_dir, cwd, &id)?;
        return Ok(opened(flags, surroundings, id, path, &[], Vec::new()));
    };
    let path =
        transcript::find(config_dir, cwd, resume).ok_or_else(|| OpenError::NotFound(resume.clone()))?;
    let mut entries = transcript::read(&path).map_err(OpenError::Read)?;
    if let Some(at) = &flags.resume_session_at {
        let place = entries.iter().position(|entry| entry.uuid == *at);
        let place = place.ok_or_else(|| OpenError::NoSuchMessage(at.clone()))?;
        entries.truncate(place + 1);
    }
    if !flags.fork_session {
        // The name of the file is the session's, also where it was given as a path.
        let id = path.file_stem().map_or_else(|| resume.clone(), |stem| stem.to_string_lossy().into_owned());
        return Ok(opened(flags, surroundings, id, path, &entries, Vec::new()));
    }
    let id = new_id();
    let path = free_path(config_dir, cwd, &id)?;
    let inherited = entries.iter().map(|entry| entry.line.clone()).collect();
    Ok(opened(flags, surroundings, id, path, &entries, inherited))
}

fn free_path(config_dir: &Path, cwd: &Path, id: &str) -> Result<PathBuf, OpenError> {
    let path = transcript::project_dir(config_dir, cwd).join(format!("{id}.jsonl"));
    if path.exists() { Err(OpenError::InUse(id.to_owned())) } else { Ok(path) }
}

fn opened(
    flags: &Flags,
    surroundings: &Surroundings,
    session_id: String,
    path: PathBuf,
    entries: &[Entry],
    inherited: Vec<serde_json::Value>,
) -> Opened {
    let stamp = Stamp {
        session_id: session_id.clone(),
        cwd: surroundings.cwd.to_string_lossy().into_owned(),
        version: VERSION.to_owned(),
    };
    let path = (!flags.no_session_persistence).then_some(path);
    let leaf = entries.last().map(|entry| entry.uuid.clone());
    Opened {
        session_id,
        transcript: Transcript::new(path, stamp, leaf, inherited),
        history: History::of(entries),
        seen: entries.iter().map(|entry| entry.uuid.clone()).collect(),
    }
}
