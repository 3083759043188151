//! What users type after `doctor`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also make one real turn: it costs some tokens, and says how many
    #[arg(long)]
    pub(crate) turn: bool,
    /// Model of that turn [default: the configured one]
    #[arg(long, value_name = "MODEL", requires = "turn")]
    pub(crate) model: Option<String>,
    /// Configuration file, for where no server runs [default: as for serve]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
