//! Prompts and what goes with them: how they are sent, and in which form the answer is wanted.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::values;

/// A prompt that is sent as it is.
#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// What to ask; - reads standard input
    // The program's own options stay options; a prompt that is one of them goes after `--`.
    #[arg(value_name = "PROMPT", allow_hyphen_values = true, value_parser = values::prompt)]
    pub(crate) text: String,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

/// A prompt that a template may render.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// What to ask; - reads standard input; may be left out where --template names one that needs none
    #[arg(value_name = "PROMPT", allow_hyphen_values = true, value_parser = values::prompt, required_unless_present = "template")]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
    #[command(flatten)]
    pub(crate) sending: Sending,
    /// Print only the answer's data, as JSON, once it is there
    #[arg(long, conflicts_with = "background")]
    pub(crate) data: bool,
}

/// How a turn is sent.
#[derive(Debug, Args)]
pub(crate) struct Sending {
    /// Print the accepted turn and return at once
    #[arg(long)]
    pub(crate) background: bool,
    /// End the turn when it takes longer, time in the queue included
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) turn_timeout: Option<Duration>,
    /// UUID that makes sending safe to repeat: the same one is the same turn
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<uuid::Uuid>,
}

/// What the message is made of, and what the answer must hold.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// File with the JSON Schema that the answer's data must fit
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Template of the message
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// A parameter of the template: NAME=TEXT, or NAME=@FILE for a file's text; may be given more than once
    #[arg(long = "param", value_name = "NAME=TEXT", value_parser = values::parameter)]
    pub(crate) parameters: Vec<(String, Parameter)>,
}

/// A parameter's value as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// The value.
    Text(String),
    /// The file that holds it.
    File(PathBuf),
}
