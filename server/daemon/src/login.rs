//! How the server's processes log in to the API, and what the operator should know of it. It reads no secret.

use std::{io, path::PathBuf};

pub use claude_comms_supervisor::Login;

use crate::config::{BackendKind, Config};

/// The login that the settings and the environment give.
pub fn login(config: &Config) -> Login {
    Login::of(&config.instance_environment.0, config.claude.config_dir.as_deref())
}

/// The operator's own configuration directory, if one is set: an absolute path of a directory that is there.
///
/// # Errors
/// As [`std::fs::canonicalize`]; `NotADirectory`.
pub(crate) fn config_dir(config: &Config) -> io::Result<Option<PathBuf>> {
    // A simulated Claude keeps what it keeps in a directory of its own.
    let Some(path) = config.claude.config_dir.as_ref().filter(|_| config.backend == BackendKind::Claude)
    else {
        return Ok(None);
    };
    let path = path.canonicalize()?;
    if path.is_dir() { Ok(Some(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// What the operator should know at the start.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.backend != BackendKind::Claude {
        return warnings;
    }
    if login(config) == Login::None {
        warnings.push(
            "neither ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN nor CLAUDE_CODE_OAUTH_TOKEN is set: turns will fail with NOT_LOGGED_IN"
                .to_owned(),
        );
    }
    if let Some(path) = &config.claude.config_dir {
        warnings.push(format!(
            "claude.config_dir: all processes share {} with each other and with whoever else uses it; Claude Code does not \
             bear that well (its .claude.json may be damaged, and a refreshed login may log the others out). The token of \
             `claude setup-token` in CLAUDE_CODE_OAUTH_TOKEN has neither trouble",
            path.display()
        ));
    }
    warnings
}
