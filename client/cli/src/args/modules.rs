//! What users type about modules.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::{Question, Shape, values};
use crate::complete;

#[derive(Debug, Args)]
pub(crate) struct RegisterModule {
    /// The module's name, which must be the descriptor's
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::registered_modules))]
    pub(crate) name: String,
    /// Where the module is
    #[arg(long, value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Its descriptor; - reads standard input [default: claude-comms.module.yaml below PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) desc: Option<PathBuf>,
    /// Also when its version is lower than the registered one
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowModule {
    /// The module
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) name: String,
    /// A registered version of it [default: the one that counts]
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Which content of that version [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) revision: Option<u32>,
    /// Print its descriptor as YAML
    #[arg(long)]
    pub(crate) descriptor: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiscoverModules {
    /// A capability: its name, a part of it, or one of its tags
    #[arg(long, value_name = "NAME")]
    pub(crate) capability: Option<String>,
    /// A data type: its name or media type
    #[arg(long, value_name = "NAME")]
    pub(crate) data_type: Option<String>,
    /// A tag of the module or of a capability; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Free text
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateModule {
    /// Descriptors, directories of them, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryModule {
    /// The module to ask
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) between: Between,
    #[command(flatten)]
    pub(crate) question: Question,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewContext {
    /// The module that would be asked
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) target: String,
    /// What would be asked; - reads standard input; may be left out where --template names one that needs none
    #[arg(value_name = "PROMPT", allow_hyphen_values = true, value_parser = values::prompt, required_unless_present = "template")]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) between: Between,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Tokens that system prompt and message may have together [default: the server's]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) budget: Option<u32>,
}

/// Who asks, where, and about what.
#[derive(Debug, Args)]
pub(crate) struct Between {
    /// The module that asks [default: you]
    #[arg(long, value_name = "SOURCE", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) from: Option<String>,
    /// A conversation of the same modules to go on with [default: a new one]
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::conversations))]
    pub(crate) conversation: Option<String>,
    /// The module's capability that it is about; one with an output schema gives data
    #[arg(long, value_name = "NAME")]
    pub(crate) capability: Option<String>,
}
