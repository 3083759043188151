//! What to start: program, session and settings, and the arguments they become. Prompts are never
//! among them: arguments are world-readable and limited in size.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use uuid::Uuid;

use crate::environment::Lock;

/// The program behind an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The Claude Code CLI.
    Claude {
        /// Its binary.
        binary: PathBuf,
    },
    /// Our own binary's hidden subcommand `__simulate`, which speaks as the CLI does.
    Simulated {
        /// What it plays; its default otherwise.
        scenario: Option<PathBuf>,
    },
}

/// Which Claude session the process carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A new, empty one.
    New {
        /// Its id.
        id: Uuid,
    },
    /// One that was there before, with its history.
    Resume {
        /// Its id.
        id: Uuid,
    },
    /// A new one with the history of another up to one of its answers.
    Fork {
        /// The session with the history; it stays as it is.
        from: Uuid,
        /// The `uuid` of the last `assistant` line that belongs to the new session.
        at_assistant: String,
        /// The new session's id.
        id: Uuid,
    },
}

impl Session {
    /// The session whose history must be on disk before the start, if any.
    pub(crate) fn history(&self) -> Option<Uuid> {
        match self {
            Self::New { .. } => None,
            Self::Resume { id } => Some(*id),
            Self::Fork { from, .. } => Some(*from),
        }
    }
}

/// Everything one process needs to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The instance's directory below `instances_dir`: one plain name.
    pub instance: String,
    /// What to run.
    pub program: Program,
    /// Which session it carries.
    pub session: Session,
    /// Session file to lend to the CLI for [`Session::Resume`] and [`Session::Fork`]: hard-linked (or
    /// copied) to where it looks. Its name need not be the session's. Unused for a new session.
    pub transcript: Option<PathBuf>,
    /// Model alias or full name; the CLI's default if absent.
    pub model: Option<String>,
    /// Takes the place of the CLI's own system prompt, which is never used: `None` is none at all. Goes through
    /// `initialize`.
    pub system_prompt: Option<String>,
    /// The environment, as [`allowed_environment`](crate::allowed_environment) left it plus what the
    /// configuration adds. Nothing else of the server's environment reaches the process.
    pub environment: BTreeMap<String, String>,
    /// Appended to the arguments.
    pub extra_args: Vec<String>,
}

/// Flags of every process: locked down (no built-in tools, settings, commands or prompts for
/// permission), streaming. seen on CLI 2.1.330.
const LOCKED: &[&str] = &[
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--tools",
    "",
    "--strict-mcp-config",
    "--setting-sources=",
    "--disable-slash-commands",
    "--permission-mode",
    "dontAsk",
    "--permission-prompts",
    "none",
];

impl Launch {
    /// The program to execute; `own` is our own binary.
    pub(crate) fn executable(&self, own: &std::path::Path) -> PathBuf {
        match &self.program {
            Program::Claude { binary } => binary.clone(),
            Program::Simulated { .. } => own.to_owned(),
        }
    }

    pub(crate) fn arguments(&self, lock: Lock) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if let Program::Simulated { scenario } = &self.program {
            arguments.push("__simulate".into());
            if let Some(scenario) = scenario {
                arguments.extend(["--scenario".into(), scenario.into()]);
            }
        }
        arguments.extend(LOCKED.iter().map(OsString::from));
        match lock {
            Lock::Bare => arguments.push("--bare".into()),
            // Without --bare a resumed session would keep its first system prompt.
            Lock::Singly => arguments.extend(["--system-prompt-snapshot".into(), "off".into()]),
        }
        if let Some(model) = &self.model {
            arguments.extend(["--model".into(), model.into()]);
        }
        match &self.session {
            Session::New { id } => arguments.extend(["--session-id".into(), id.to_string().into()]),
            Session::Resume { id } => arguments.push(format!("--resume={id}").into()),
            Session::Fork { from, at_assistant, id } => arguments.extend([
                format!("--resume={from}").into(),
                "--fork-session".into(),
                "--session-id".into(),
                id.to_string().into(),
                "--resume-session-at".into(),
                at_assistant.into(),
            ]),
        }
        arguments.extend(self.extra_args.iter().map(OsString::from));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(session: Session) -> Launch {
        Launch {
            instance: "a".into(),
            program: Program::Claude { binary: "/claude".into() },
            session,
            transcript: None,
            model: Some("sonnet".into()),
            system_prompt: Some("a secret prompt".into()),
            environment: BTreeMap::new(),
            extra_args: vec!["--max-turns".into(), "3".into()],
        }
    }

    fn line(launch: &Launch) -> String {
        launch.arguments(Lock::of(&launch.environment, None)).join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn each_session_has_its_own_flags_and_the_prompt_is_in_none() {
        let (id, from) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let new = line(&launch(Session::New { id }));
        assert!(new.ends_with(&format!("--bare --model sonnet --session-id {id} --max-turns 3")), "{new}");
        assert!(
            new.starts_with("-p --input-format stream-json --output-format stream-json --verbose"),
            "{new}"
        );
        let resume = line(&launch(Session::Resume { id }));
        assert!(resume.contains(&format!("--resume={id}")) && !resume.contains("--session-id"), "{resume}");
        let fork = line(&launch(Session::Fork { from, at_assistant: "a-1".into(), id }));
        let wanted = format!("--resume={from} --fork-session --session-id {id} --resume-session-at a-1");
        assert!(fork.contains(&wanted), "{fork}");
        for line in [new, resume, fork] {
            assert!(!line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn an_oauth_token_alone_goes_without_bare() {
        let mut launch = launch(Session::New { id: Uuid::nil() });
        launch.environment.insert("CLAUDE_CODE_OAUTH_TOKEN".into(), "t".into());
        let with_token = line(&launch);
        assert!(!with_token.contains("--bare"), "{with_token}");
        assert!(with_token.contains("--system-prompt-snapshot off"), "{with_token}");
        launch.environment.insert("ANTHROPIC_API_KEY".into(), "k".into());
        assert!(line(&launch).contains("--bare"));
        let own = launch.arguments(Lock::of(&launch.environment, Some("/login".as_ref())));
        assert!(!own.contains(&"--bare".into()), "{own:?}");
    }

    #[test]
    fn the_simulator_is_our_own_binary_with_the_same_flags() {
        let mut launch = launch(Session::New { id: Uuid::nil() });
        launch.program = Program::Simulated { scenario: Some("/s.yaml".into()) };
        assert_eq!(launch.executable("/us".as_ref()), PathBuf::from("/us"));
        assert!(line(&launch).starts_with("__simulate --scenario /s.yaml -p "), "{}", line(&launch));
    }
}
