//! The command line that is being completed: the words as they were meant, and the global options among them.

use std::ffi::{OsStr, OsString};

use clap::{Args as _, FromArgMatches as _};

use crate::args::Global;

/// Words as the user typed them. Bash makes words of their own of `:` and `=`, which stand in endpoints and options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) words: Vec<OsString>,
    /// Which one is completed.
    pub(super) index: usize,
    /// What of that one bash takes for other words: it is not to be given back.
    pub(super) before: OsString,
}

/// Joins what bash divided.
pub(super) fn joined(divided: Vec<OsString>, index: usize) -> Joined {
    let is_break = |word: &OsStr| {
        let text = word.to_string_lossy();
        !text.is_empty() && text.chars().all(|c| c == ':' || c == '=')
    };
    let mut joined = Joined { words: Vec::new(), index: divided.len(), before: OsString::new() };
    let mut after_break = false;
    for (place, word) in divided.into_iter().enumerate() {
        let breaks = is_break(&word);
        // The first is this program, and an option is a word of its own whatever stands before it.
        let goes_on = joined.words.len() > 1 && (breaks || after_break);
        match joined.words.last_mut().filter(|_| goes_on) {
            Some(last) => {
                if place == index {
                    joined.before.clone_from(last);
                }
                last.push(&word);
            }
            None => joined.words.push(word),
        }
        if place == index {
            joined.index = joined.words.len() - 1;
        }
        after_break = breaks;
    }
    joined
}

/// The global options of the line that is being completed, as far as they can be read.
pub(super) fn global() -> Option<Global> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    options(joined(words.collect(), usize::MAX).words)
}

fn options(words: Vec<OsString>) -> Option<Global> {
    let command = Global::augment_args(clap::Command::new("global").no_binary_name(true));
    let mut kept: Vec<OsString> = Vec::new();
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (name, inline) = match text.split_once('=') {
            Some((name, _)) => (name, true),
            None => (text.as_ref(), false),
        };
        let option = command
            .get_arguments()
            .find(|option| name.strip_prefix("--").is_some_and(|name| option.get_long() == Some(name)));
        if option.is_none_or(|option| !option.get_action().takes_values()) {
            continue;
        }
        let value = if inline { None } else { words.next() };
        if inline || value.is_some() {
            kept.push(word.clone());
            kept.extend(value);
        }
    }
    let matches = command.try_get_matches_from(kept).ok()?;
    Global::from_arg_matches(&matches).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn what_bash_divides_is_one_word_again() {
        let typed = ["claude-comms", "--server", "unix", ":", "/a", "show-module", "--from", "=", "sh"];
        let joined = joined(words(&typed), 8);
        assert_eq!(joined.words, words(&["claude-comms", "--server", "unix:/a", "show-module", "--from=sh"]));
        assert_eq!((joined.index, joined.before.to_str()), (4, Some("--from=")));
        let plain = super::joined(words(&["claude-comms", "show-instance", ""]), 2);
        assert_eq!((plain.words.len(), plain.index, plain.before), (3, 2, OsString::new()));
    }

    #[test]
    fn the_server_that_is_named_is_asked_whatever_else_is_typed() {
        let line = [
            "claude-comms",
            "query-module",
            "x",
            "--server",
            "unix:/a",
            "--oops",
            "--token-file=/t",
            "--from",
            "",
        ];
        let global = options(words(&line)).expect("options");
        assert_eq!(global.server.as_deref(), Some("unix:/a"));
        assert_eq!(global.token_file, Some("/t".into()));
        assert_eq!(options(words(&["claude-comms", "status", "--server"])).expect("options").server, None);
    }
}
