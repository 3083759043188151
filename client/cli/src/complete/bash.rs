//! Bash, which divides words at `:` and `=` before it asks.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap_complete::{engine, env::EnvCompleter};

use super::line::joined;

/// As clap's own, but for words with `:` and `=` in them.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), io::Error> {
        clap_complete::env::Bash.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        out: &mut dyn Write,
    ) -> Result<(), io::Error> {
        // Both are set by the script.
        let number = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
        let divider = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let line = joined(words, number.unwrap_or_default());
        let before = line.before.to_string_lossy().into_owned();
        let candidates = engine::complete(command, line.words, line.index, directory)?;
        let values = candidates.iter().map(|candidate| {
            let value = candidate.get_value().to_string_lossy().into_owned();
            value.strip_prefix(&before).map_or(value.clone(), str::to_owned)
        });
        out.write_all(values.collect::<Vec<_>>().join(&divider).as_bytes())
    }
}
