//! What users type. Knows no server; the meaning of each command is in `commands`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use claude_comms_client::v1::TurnState;

/// Ask Claude in the background: durable conversations on warm Claude Code processes.
#[derive(Debug, Parser)]
#[command(name = "claude-comms", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 no server, 4 not found, 5 refused for now, \
    6 not permitted, 124 --timeout passed, 130 Ctrl-C.\nStart with: claude-comms demo"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server: unix:/path/to.sock or http://host:port [env: CLAUDE_COMMS_SERVER]
    #[arg(long, global = true, value_name = "ENDPOINT")]
    pub(crate) server: Option<String>,
    /// File that holds the server's token [env: CLAUDE_COMMS_TOKEN_FILE, CLAUDE_COMMS_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server in the foreground
    Serve(Serve),
    /// See it work in one command: a server of its own, simulated Claude, nothing left behind
    Demo(Demo),
    /// Start a Claude process that stays until it is stopped
    StartInstance(StartInstance),
    /// List instances
    ListInstances {
        /// Also those that are stopped
        #[arg(long)]
        all: bool,
    },
    /// Show an instance
    ShowInstance(InstanceId),
    /// End an instance; its conversation stays
    StopInstance {
        #[command(flatten)]
        target: InstanceId,
        /// Cancel its running turn at once instead of letting it end
        #[arg(long)]
        now: bool,
    },
    /// Ask an instance and print the answer as it comes
    QueryInstance {
        #[command(flatten)]
        target: InstanceId,
        #[command(flatten)]
        prompt: Prompt,
    },
    /// Make a conversation
    CreateConversation(CreateConversation),
    /// List conversations, newest first
    ListConversations,
    /// Show a conversation with its turns
    ShowConversation(ConversationId),
    /// Ask in a conversation and print the answer as it comes
    ContinueConversation {
        #[command(flatten)]
        target: ConversationId,
        #[command(flatten)]
        prompt: Prompt,
    },
    /// Show a turn
    ShowTurn(TurnId),
    /// Wait until a turn has ended and show it
    WaitTurn(TurnId),
    /// End a turn that has not ended
    CancelTurn(TurnId),
    /// List turns, oldest first
    ListTurns(ListTurns),
    /// Show what the server is doing
    Status,
    /// Print the version of this program
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file [default: claude-comms/claude-comms.yaml below $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen: unix:/path/to.sock or http://host:port; may be given more than once
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
    /// Scenario of the simulated backend
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) scenario: Option<PathBuf>,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Form of the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// What answers: simulated or claude
    #[arg(long, value_name = "BACKEND", default_value = "simulated", value_parser = ["simulated", "claude"])]
    pub(crate) backend: String,
    /// The Claude Code CLI, with --backend claude [default: claude in PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) claude_binary: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StartInstance {
    /// A name: a lowercase letter, then lowercase letters, digits, - and _
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Model alias or name
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// System prompt of its new conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "conversation")]
    pub(crate) system_prompt: Option<String>,
    /// An existing conversation for it to serve
    #[arg(long, value_name = "ID")]
    pub(crate) conversation: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateConversation {
    /// A title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// System prompt of every turn
    #[arg(long, value_name = "TEXT")]
    pub(crate) system_prompt: Option<String>,
    /// Model alias or name
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// A label; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct InstanceId {
    /// Name, ID, or at least 4 characters of the ID's start or end
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ConversationId {
    /// ID, or at least 4 characters of its start or end
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct TurnId {
    /// ID, or at least 4 characters of its start or end
    #[arg(long, value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// What to ask; - reads standard input
    // The program's own options stay options; a prompt that is one of them goes after `--`.
    #[arg(value_name = "PROMPT", allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Print the accepted turn and return at once
    #[arg(long)]
    pub(crate) background: bool,
    /// End the turn when it takes longer, time in the queue included
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) turn_timeout: Option<Duration>,
    /// UUID that makes sending safe to repeat: the same one is the same turn
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<uuid::Uuid>,
}

#[derive(Debug, Args)]
pub(crate) struct ListTurns {
    /// Only those of this conversation
    #[arg(long, value_name = "ID")]
    pub(crate) conversation: Option<String>,
    /// Only those in this state; may be given more than once
    #[arg(long = "state", value_name = "STATE", value_parser = turn_state, value_delimiter = ',')]
    pub(crate) states: Vec<TurnState>,
    /// Only those accepted since: a time as 2026-11-22T12:00:00Z, or how long ago, as in 10m, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<prost_types::Timestamp>,
}

/// `90`, `90s`, `1m 30s`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    humantime::parse_duration(text).map_err(|_| "give a duration as in 30s, 5m or 2h".into())
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("give a label as KEY=VALUE".into()),
    }
}

/// Takes both `FAILED` and `TURN_STATE_FAILED`, in any case.
fn turn_state(text: &str) -> Result<TurnState, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("TURN_STATE_").unwrap_or(&name);
    TurnState::from_str_name(&format!("TURN_STATE_{name}"))
        .filter(|state| *state != TurnState::Unspecified)
        .ok_or_else(|| "give QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED".into())
}

fn since(text: &str) -> Result<prost_types::Timestamp, String> {
    let time = match humantime::parse_duration(text) {
        Ok(ago) => std::time::SystemTime::now().checked_sub(ago).map(Into::into),
        Err(_) => text.parse().ok(),
    };
    time.ok_or_else(|| "give a time as 2026-11-22T12:00:00Z, or how long ago, as in 10m or 3d".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_prompt_may_begin_with_a_hyphen() {
        let parse = |words: &[&str]| {
            let line = ["claude-comms", "continue-conversation", "--id", "x"].iter().chain(words);
            match Arguments::try_parse_from(line)?.command {
                Command::ContinueConversation { prompt, .. } => Ok((prompt.text, prompt.background)),
                other => panic!("{other:?}"),
            }
        };
        for text in ["-5 degrees?", "- a list", "--- a line", "-"] {
            assert_eq!(parse(&[text]).expect(text), (text.to_owned(), false));
            assert_eq!(parse(&["--background", text]).expect(text), (text.to_owned(), true));
            assert_eq!(parse(&[text, "--background"]).expect(text), (text.to_owned(), true));
        }
        assert_eq!(parse(&["--", "--background"]).expect("escaped"), ("--background".to_owned(), false));
        let error: clap::Error = parse(&["--background"]).expect_err("no prompt");
        assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn states_are_taken_with_and_without_their_prefix() {
        for text in ["FAILED", "failed", "TURN_STATE_FAILED"] {
            assert_eq!(turn_state(text), Ok(TurnState::Failed));
        }
        for text in ["", "UNSPECIFIED", "DONE", "TURN_STATE_"] {
            assert!(turn_state(text).is_err(), "{text}");
        }
    }

    #[test]
    fn since_takes_a_time_and_a_span() {
        let instant = prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 };
        assert_eq!(since("2026-11-22T12:00:00Z"), Ok(instant));
        assert_eq!(since("2026-11-22T13:00:00+01:00"), Ok(instant));
        let now = prost_types::Timestamp::from(std::time::SystemTime::now());
        let ago = now.seconds - since("2h").expect("span").seconds;
        assert!((7199..=7201).contains(&ago), "{ago}");
        for text in ["", "yesterday", "10", "99999999999999y"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn global_options_are_taken_on_either_side_of_the_command() {
        for line in
            [["claude-comms", "--output", "json", "status"], ["claude-comms", "status", "--output", "json"]]
        {
            assert_eq!(Arguments::parse_from(line).global.output, Some(Format::Json));
        }
    }
}
