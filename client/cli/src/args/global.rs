//! Options of every command: where the server is, how to reach it, how results look.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::values::duration;

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server: unix:/path/to.sock, http://host:port or https://host:port [env: CLAUDE_COMMS_SERVER]
    #[arg(long, global = true, value_name = "ENDPOINT")]
    pub(crate) server: Option<String>,
    /// File that holds the server's token [env: CLAUDE_COMMS_TOKEN_FILE, CLAUDE_COMMS_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities that the server's certificate may be of, PEM [env: CLAUDE_COMMS_TLS_CA] [default: the system's]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Certificate to show to a server that wants one, PEM [env: CLAUDE_COMMS_TLS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM [env: CLAUDE_COMMS_TLS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How results are printed [env: CLAUDE_COMMS_OUTPUT] [default: table]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// No notes on standard error, only errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More on standard error
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// How long this command waits, as in 30s or 5m; it never ends a turn
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// proto3 JSON; streams print one event a line.
    Json,
    /// The same values as YAML; streams print one document an event.
    Yaml,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
