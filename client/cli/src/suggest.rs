//! Commands that this program suggests, so that they reach the server that the user has named. Knows no command.

use std::sync::OnceLock;

use crate::args::Global;

/// The options of this run that a suggested command needs too.
static OPTIONS: OnceLock<String> = OnceLock::new();

/// Keeps what was typed of server and token; the environment's part is there for the next command anyway.
pub(crate) fn remember(global: &Global) {
    // Only a second call in one process could fail.
    let _ = OPTIONS.set(options(global));
}

/// A command line of this program, as in `command("status")`.
pub(crate) fn command(rest: &str) -> String {
    let options = OPTIONS.get().map(String::as_str).unwrap_or_default();
    format!("claude-comms {rest}{options}")
}

fn options(global: &Global) -> String {
    let server = global.server.as_deref().map(Into::into);
    let file =
        |file: &Option<std::path::PathBuf>| file.as_ref().map(|file| file.to_string_lossy().into_owned());
    [
        ("--server", server),
        ("--token-file", file(&global.token_file)),
        ("--tls-ca", file(&global.tls_ca)),
        ("--tls-cert", file(&global.tls_cert)),
        ("--tls-key", file(&global.tls_key)),
    ]
    .into_iter()
    .filter_map(|(name, value): (_, Option<String>)| Some(format!(" {name} {}", quoted(&value?))))
    .collect()
}

/// The value as a shell takes it for one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Arguments;

    #[test]
    fn a_suggested_command_goes_to_the_server_that_was_named() {
        let of = |line: &[&str]| options(&Arguments::parse_from(line).global);
        assert_eq!(of(&["claude-comms", "status"]), "");
        assert_eq!(
            of(&["claude-comms", "status", "--server", "unix:/a b's", "--token-file", "/t"]),
            r" --server 'unix:/a b'\''s' --token-file /t"
        );
        assert_eq!(of(&["claude-comms", "status", "--tls-ca", "/ca"]), " --tls-ca /ca");
    }
}
