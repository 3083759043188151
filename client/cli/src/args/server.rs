//! What users type about the server itself and its settings, and about their shells.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) settings: ServerSettings,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ShowConfig {
    #[command(flatten)]
    pub(crate) settings: ServerSettings,
    /// Print a commented file with every default instead
    #[arg(long, conflicts_with = "schema")]
    pub(crate) default: bool,
    /// Print the JSON Schema of the file instead
    #[arg(long)]
    pub(crate) schema: bool,
}

/// Settings of a server that can be given as flags.
#[derive(Debug, Args)]
pub(crate) struct ServerSettings {
    /// Configuration file [default: claude-comms/claude-comms.yaml below $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen: unix:/path/to.sock, http://ADDRESS:PORT or https://ADDRESS:PORT; may be given more than once
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) listen: Vec<String>,
    /// Where records, transcripts and the token live [default: claude-comms below $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What answers turns: claude or simulated
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// The Claude Code CLI [default: claude in PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) claude_binary: Option<PathBuf>,
    /// Directory of module descriptors, which is watched; may be given more than once
    #[arg(long = "module-dir", value_name = "DIR")]
    pub(crate) module_dirs: Vec<PathBuf>,
    /// Directory of prompt templates, which is watched; may be given more than once
    #[arg(long = "template-dir", value_name = "DIR")]
    pub(crate) template_dirs: Vec<PathBuf>,
    /// Scenario of the simulated backend
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) scenario: Option<PathBuf>,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// eval "$(claude-comms completions bash)" in ~/.bashrc
    Bash,
    /// eval "$(claude-comms completions zsh)" in ~/.zshrc, after compinit
    Zsh,
    /// claude-comms completions fish | source in ~/.config/fish/config.fish
    Fish,
}

impl Shell {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// Form of the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
