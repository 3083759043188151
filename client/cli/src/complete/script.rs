//! The scripts of the shells, and the answers to them.

use clap::CommandFactory as _;
use clap_complete::{
    CompleteEnv,
    env::{Fish, Shells, Zsh},
};

use super::bash::Bash;
use crate::{
    args::{Arguments, Shell},
    exit::{Exit, Failure},
    output::Ui,
};

/// The shell's scripts set it to the shell's name when they ask.
const VARIABLE: &str = "_CLAUDE_COMMS_COMPLETE";
const NAME: &str = "claude-comms";

/// Prints a shell's script.
pub(crate) fn script(shell: Shell, ui: &Ui) -> Result<Exit, Failure> {
    let shells = shells();
    let shell = shells.completer(shell.name()).expect("each shell of the command line has a script");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, NAME, NAME, &own_path(), &mut script)?;
    ui.write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Answers a shell's script, if one asks. Silent in every case but that of candidates.
pub(crate) fn answered() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let directory = std::env::current_dir().ok();
    let answered = CompleteEnv::with_factory(Arguments::command)
        .var(VARIABLE)
        .shells(shells())
        .try_complete(std::env::args_os(), directory.as_deref());
    // What cannot be completed is left as it was typed: the shell's line is no place for errors.
    answered.unwrap_or(true)
}

fn shells() -> Shells<'static> {
    Shells(&[&Bash, &Zsh, &Fish])
}

/// How the script calls this program: as the user did where a shell finds it by its name, else by its whole path.
fn own_path() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| NAME.into());
    let path = std::path::PathBuf::from(&called);
    if path.components().count() > 1 {
        return std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned();
    }
    called.to_string_lossy().into_owned()
}
