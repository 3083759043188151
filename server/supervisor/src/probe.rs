//! Whether a CLI binary can be used: `claude --version` in an empty environment.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

/// Oldest CLI whose stdin knows `client_composed`, without which a prompt starting with `/` or holding
/// `@file` is not taken verbatim.
pub const OLDEST_SUPPORTED: CliVersion = CliVersion { major: 2, minor: 1, patch: 248 };

/// The CLI prints its version in 45 ms, from a cold page cache in seconds.
const LIMIT: Duration = Duration::from_secs(10);
/// A version is a line; something that is not the CLI may print for ever.
const OUTPUT_LIMIT_BYTES: u64 = 4096;

/// A version of the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CliVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl CliVersion {
    /// Reads the version at the start of `2.1.330 (Claude Code)`; a pre-release suffix is ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.split_whitespace().next()?;
        let mut numbers = first.split(['-', '+']).next()?.split('.').map(|part| part.parse().ok());
        let version = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for CliVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a binary cannot be used as the CLI. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no such file.
    #[error("claude cli not found at {}: install it (npm install -g @anthropic-ai/claude-code) or set claude.binary", binary.display())]
    NotFound {
        /// The path tried.
        binary: PathBuf,
    },
    /// The file is there but does not run.
    #[error("{} cannot be executed: check its mode and that it is built for this machine, or set claude.binary", binary.display())]
    NotExecutable {
        /// The path tried.
        binary: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It runs but does not say a version, says no sensible one, or takes longer than 10 s.
    #[error("{} does not look like the claude cli ({problem}): set claude.binary to the claude program", binary.display())]
    Garbage {
        /// The path tried.
        binary: PathBuf,
        /// What it did.
        problem: String,
    },
    /// It is the CLI, but lacks what we rely on.
    #[error("claude cli {found} at {} is too old, {needed} or newer is needed: update it (claude update)", binary.display())]
    TooOld {
        /// The path tried.
        binary: PathBuf,
        /// Its version.
        found: CliVersion,
        /// The oldest that works.
        needed: CliVersion,
    },
}

/// Asks `binary` for its version, in an empty environment, within 10 s.
///
/// # Errors
/// [`ProbeError`], each with its remedy. Nothing is left running.
///
/// # Cancel safety
/// Dropping the future kills the probe.
pub async fn probe_version(binary: impl AsRef<Path>) -> Result<CliVersion, ProbeError> {
    probe(binary.as_ref(), LIMIT).await
}

async fn probe(binary: &Path, limit: Duration) -> Result<CliVersion, ProbeError> {
    let garbage = |problem: String| ProbeError::Garbage { binary: binary.to_owned(), problem };
    #[expect(clippy::disallowed_methods, reason = "the supervisor spawns; a version probe needs no reaper")]
    let mut command = Command::new(binary);
    command
        .arg("--version")
        .env_clear()
        .env("PATH", crate::environment::DEFAULT_PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| match source.kind() {
        // A script whose interpreter is missing gives the same error as a missing file.
        io::ErrorKind::NotFound if !binary.exists() => ProbeError::NotFound { binary: binary.to_owned() },
        _ => ProbeError::NotExecutable { binary: binary.to_owned(), source },
    })?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let output = tokio::time::timeout(limit, output(&mut child)).await;
    // `child` is still ours here, so its group's number is, too. A wrapper may have left others in it.
    if let (Err(_), Some(group)) = (&output, group) {
        let _nobody_left = kill_process_group(group, Signal::KILL);
    }
    let (status, stdout, stderr) = output
        .map_err(|_| garbage(format!("no version within {} s", limit.as_secs_f64())))?
        .map_err(|error| garbage(format!("its output cannot be read: {error}")))?;
    if !status.success() {
        return Err(garbage(format!("--version ended with {status}: {}", first_line(&stderr))));
    }
    let found = CliVersion::parse(&String::from_utf8_lossy(&stdout))
        .ok_or_else(|| garbage(format!("--version printed {:?}", first_line(&stdout))))?;
    if found < OLDEST_SUPPORTED {
        return Err(ProbeError::TooOld { binary: binary.to_owned(), found, needed: OLDEST_SUPPORTED });
    }
    Ok(found)
}

/// Both outputs' beginnings and the exit status. What is printed beyond the limit is not waited for.
async fn output(child: &mut Child) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
    let stderr = child.stderr.take().expect("stderr was asked for as a pipe");
    let (stdout, stderr) = tokio::try_join!(beginning(stdout), beginning(stderr))?;
    Ok((child.wait().await?, stdout, stderr))
}

async fn beginning(pipe: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(OUTPUT_LIMIT_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn first_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).lines().next().unwrap_or_default().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered_as_numbers() {
        let version = |text| CliVersion::parse(text);
        let known = CliVersion { major: 2, minor: 1, patch: 330 };
        assert_eq!(version("2.1.330 (Claude Code)\n"), Some(known));
        assert_eq!(version("2.1.330-beta.1 (simulated)"), Some(known));
        assert!(version("2.1.1000").unwrap() > known && known > OLDEST_SUPPORTED);
        for bad in ["", "claude 2.1.330", "2.1", "2.1.x", "2.1.3.4", "v2.1.3", "-1.2.3"] {
            assert_eq!(version(bad), None, "{bad:?}");
        }
        assert_eq!(known.to_string(), "2.1.330");
    }
}
