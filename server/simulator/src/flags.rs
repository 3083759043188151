//! The command line of the simulated CLI: the real one's flags (CLI 2.1.330,
//! `--help` and the hidden ones the server uses) and our own `--scenario`. It
//! reads no file and knows nothing of what the flags do later.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the flags ask for; those without effect here are accepted and forgotten.
#[derive(Debug, Default, Clone)]
pub(crate) struct Flags {
    pub(crate) scenario: Option<PathBuf>,
    pub(crate) version: bool,
    pub(crate) session_id: Option<String>,
    pub(crate) resume: Option<String>,
    pub(crate) fork_session: bool,
    pub(crate) resume_session_at: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) system_prompt: Option<String>,
    pub(crate) system_prompt_file: Option<PathBuf>,
    pub(crate) append_system_prompt: Option<String>,
    pub(crate) permission_mode: Option<String>,
    pub(crate) include_partial_messages: bool,
    pub(crate) replay_user_messages: bool,
    pub(crate) no_session_persistence: bool,
    /// Set by us alone: be the grandchild that a scenario spawns, for so many seconds.
    pub(crate) grandchild_seconds: Option<u64>,
    input_format: Option<String>,
    output_format: Option<String>,
    verbose: bool,
}

/// A command line the real CLI refuses too, in its words; exit code 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FlagError {
    #[error("error: unknown option '{0}'")]
    Unknown(String),
    #[error("error: option '{0} <value>' argument missing")]
    MissingValue(String),
    #[error("error: option '--grandchild-for-seconds' argument '{0}' is not a number")]
    NotSeconds(String),
    #[error("Error: --input-format=stream-json requires output-format=stream-json.")]
    OutputFormat,
    #[error("Error: When using --print, --output-format=stream-json requires --verbose")]
    Verbose,
}

/// Flags without a value that change nothing here.
const IGNORED: &[&str] = &[
    "-p",
    "--print",
    "-c",
    "--continue",
    "--allow-dangerously-skip-permissions",
    "--await-claim",
    "--await-initialize",
    "--bare",
    "--brief",
    "--chrome",
    "--dangerously-skip-permissions",
    "--disable-slash-commands",
    "--ide",
    "--include-hook-events",
    "--mcp-debug",
    "--no-chrome",
    "--restricted",
    "--safe-mode",
    "--strict-mcp-config",
];

/// Flags with a value that change nothing here.
const IGNORED_WITH_VALUE: &[&str] = &[
    "--add-dir",
    "--agent",
    "--agents",
    "--allowedTools",
    "--allowed-tools",
    "--append-system-prompt-file",
    "--betas",
    "--debug",
    "--debug-file",
    "--disallowedTools",
    "--disallowed-tools",
    "--effort",
    "--fallback-model",
    "--file",
    "--json-schema",
    "--max-budget-usd",
    "--max-thinking-tokens",
    "--max-turns",
    "--mcp-config",
    "-n",
    "--name",
    "--permission-prompt-tool",
    "--permission-prompts",
    "--plugin-dir",
    "--setting-sources",
    "--settings",
    "--system-prompt-snapshot",
    "--thinking",
    "--tools",
];

impl Flags {
    /// Reads the arguments after the program's name and `__simulate`.
    ///
    /// # Errors
    /// [`FlagError`], whose text belongs on stderr.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            // A word that is no flag is a prompt or the rest of a list (`--tools A B`): stdin alone counts here.
            if !arg.starts_with('-') || arg == "-" {
                continue;
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            flags.set(name, inline, &mut args)?;
        }
        flags.check()?;
        Ok(flags)
    }

    fn set(
        &mut self,
        name: String,
        inline: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        let switch = match name.as_str() {
            "-v" | "--version" => Some(&mut self.version),
            "--fork-session" => Some(&mut self.fork_session),
            "--include-partial-messages" => Some(&mut self.include_partial_messages),
            "--replay-user-messages" => Some(&mut self.replay_user_messages),
            "--no-session-persistence" => Some(&mut self.no_session_persistence),
            "--verbose" => Some(&mut self.verbose),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = true;
            return Ok(());
        }
        if IGNORED.contains(&name.as_str()) {
            return Ok(());
        }
        let Some(value) = inline.or_else(|| rest.next()) else { return Err(FlagError::MissingValue(name)) };
        match name.as_str() {
            "--scenario" => self.scenario = Some(value.into()),
            "--session-id" => self.session_id = Some(value),
            "-r" | "--resume" => self.resume = Some(value),
            "--resume-session-at" => self.resume_session_at = Some(value),
            "--model" => self.model = Some(value),
            "--system-prompt" => self.system_prompt = Some(value),
            "--system-prompt-file" => self.system_prompt_file = Some(value.into()),
            "--append-system-prompt" => self.append_system_prompt = Some(value),
            "--permission-mode" => self.permission_mode = Some(value),
            "--input-format" => self.input_format = Some(value),
            "--output-format" => self.output_format = Some(value),
            "--grandchild-for-seconds" => {
                self.grandchild_seconds = Some(value.parse().map_err(|_| FlagError::NotSeconds(value))?);
            }
            known if IGNORED_WITH_VALUE.contains(&known) => {}
            _ => return Err(FlagError::Unknown(name)),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), FlagError> {
        let streaming_out = self.output_format.as_deref() == Some("stream-json");
        if self.input_format.as_deref() == Some("stream-json") && !streaming_out {
            return Err(FlagError::OutputFormat);
        }
        if streaming_out && !self.verbose {
            return Err(FlagError::Verbose);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Flags, FlagError> {
        Flags::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn the_recommended_command_is_understood() {
        let line = "-p --input-format stream-json --output-format stream-json --verbose \
            --include-partial-messages --bare --strict-mcp-config --setting-sources= \
            --disable-slash-commands --permission-mode dontAsk --permission-prompts none --model M \
            --resume=A --fork-session --session-id B --resume-session-at C --scenario s.yaml --tools";
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.push("");
        let flags = parse(&words).unwrap();
        assert_eq!(flags.resume.as_deref(), Some("A"));
        assert_eq!(flags.session_id.as_deref(), Some("B"));
        assert_eq!(flags.resume_session_at.as_deref(), Some("C"));
        assert_eq!(flags.model.as_deref(), Some("M"));
        assert!(flags.fork_session && flags.include_partial_messages);
        assert_eq!(flags.scenario, Some("s.yaml".into()));
    }

    #[test]
    fn a_typing_error_is_refused_by_name() {
        assert_eq!(parse(&["--modle", "x"]).unwrap_err(), FlagError::Unknown("--modle".into()));
        assert_eq!(parse(&["--modle"]).unwrap_err(), FlagError::MissingValue("--modle".into()));
        assert_eq!(parse(&["--output-format", "stream-json"]).unwrap_err(), FlagError::Verbose);
        assert_eq!(parse(&["--input-format=stream-json"]).unwrap_err(), FlagError::OutputFormat);
    }
}
