//! The process around a session: arguments, environment, stdin, stdout, stderr,
//! signals, exit code. It wires; what a turn does is the session's.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::effects;
use crate::flags::Flags;
use crate::inbox::{Inbox, read_in_background};
use crate::opening::{self, OpenError, Surroundings};
use crate::outbox::Outbox;
use crate::scenario::{self, Initialize, Scenario, Selection, Status};
use crate::session::{self, Behaviour, Ending, Session};
use crate::signals::{self, OnTerminate};

/// Exit code for a scenario that cannot be played; the real CLI has no such case.
const BAD_SCENARIO: i32 = 2;

/// Is a simulated Claude Code CLI until it ends, and gives its exit code: the
/// hidden subcommand `__simulate [--scenario FILE] <flags of the CLI>`.
///
/// `args` are the arguments after `__simulate`. Blocks; uses the process's
/// stdin, stdout, stderr and signals, so it must be all that the process does.
pub fn run(args: impl Iterator<Item = OsString>) -> i32 {
    match simulate(args) {
        Ok(Ending::Exit(code)) => code,
        Ok(Ending::Kill) => effects::kill_self(),
        Err(failure) => {
            eprintln!("{}", Chain(failure.error.as_ref()));
            failure.exit_code
        }
    }
}

struct Failure {
    error: Box<dyn Error>,
    exit_code: i32,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), exit_code: 1 }
    }
}

fn simulate(args: impl Iterator<Item = OsString>) -> Result<Ending, Failure> {
    let flags = Flags::parse(args)?;
    if flags.version {
        println!("2.1.330 (simulated)");
        return Ok(Ending::Exit(0));
    }
    if let Some(seconds) = flags.grandchild_seconds {
        return Ok(Ending::Exit(effects::be_grandchild(seconds)));
    }
    let scenario = match &flags.scenario {
        Some(path) => {
            scenario::load(path).map_err(|e| Failure { error: e.into(), exit_code: BAD_SCENARIO })?
        }
        None => Scenario::default(),
    };
    let surroundings = surroundings()?;
    let resumed = flags.resume.is_some();
    let mut selection =
        Selection::new(&scenario, flags.scenario.as_deref(), &surroundings.config_dir, resumed);
    let mut out = Outbox::new(effects::Stdout);

    let mut behaviour = Behaviour { write: scenario.write, ..Behaviour::default() };
    let mut on_terminate = OnTerminate::Exit;
    for rule in selection.start_rules()? {
        if let Some(text) = &rule.stderr {
            io::stderr().write_all(text.as_bytes())?;
        }
        for line in &rule.stdout {
            out.raw(line.as_bytes())?;
        }
        out.flush()?;
        if let Some(grandchild) = rule.spawn_grandchild {
            eprintln!("simulated grandchild {}", effects::spawn_grandchild(grandchild)?);
        }
        if let Some(code) = rule.exit {
            return Ok(Ending::Exit(code));
        }
        if rule.initialize != Initialize::Answer {
            behaviour.initialize = rule.initialize.clone();
        }
        if rule.status != Status::Answer {
            behaviour.status = rule.status;
        }
        behaviour.ignore_eof |= rule.ignore_eof;
        if rule.ignore_sigterm {
            on_terminate = OnTerminate::Ignore;
        }
    }

    let opened = match opening::open(&flags, &surroundings) {
        Ok(opened) => opened,
        Err(error) => {
            if matches!(error, OpenError::NotFound(_) | OpenError::NoSuchMessage(_)) {
                session::refuse(&mut out, &error.to_string())?;
            }
            return Err(error.into());
        }
    };
    let system_prompt = match &flags.system_prompt_file {
        Some(path) => Some(std::fs::read_to_string(path)?),
        None => flags.system_prompt.clone(),
    };
    let (events, inbox) = Inbox::new();
    signals::watch(on_terminate, events.clone());
    read_in_background(io::stdin(), events);
    let stderr = Box::new(io::stderr());
    let mut session =
        Session::new(flags, surroundings, system_prompt, opened, behaviour, selection, inbox, out, stderr);
    Ok(session.run())
}

fn surroundings() -> io::Result<Surroundings> {
    let config_dir = match (env::var_os("CLAUDE_CONFIG_DIR"), env::var_os("HOME")) {
        (Some(dir), _) if !dir.is_empty() => PathBuf::from(dir),
        (_, Some(home)) => PathBuf::from(home).join(".claude"),
        (_, None) => return Err(io::Error::other("neither CLAUDE_CONFIG_DIR nor HOME is set")),
    };
    let emit = env::var_os("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS");
    Ok(Surroundings {
        cwd: env::current_dir()?,
        config_dir,
        process_id: std::process::id(),
        emit_session_state: emit.is_some_and(|value| value == "1" || value == "true"),
    })
}

/// An error with its sources, on one line.
struct Chain<'a>(&'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
