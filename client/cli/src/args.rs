//! What users type. Knows no server; the meaning of each command is in `commands`.

mod doctor;
mod drain;
mod global;
mod modules;
mod prompt;
mod server;
mod token;
mod values;
mod watching;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use claude_comms_client::v1::TurnState;

pub(crate) use doctor::Doctor;
pub(crate) use drain::Drain;
pub(crate) use global::{Color, Format, Global};
pub(crate) use modules::{
    DiscoverModules, PreviewContext, QueryModule, RegisterModule, ShowModule, ValidateModule,
};
pub(crate) use prompt::{Parameter, Prompt, Question, Sending, Shape};
pub(crate) use server::{LogFormat, Serve, ServerSettings, Shell, ShowConfig};
pub(crate) use token::Token;
use values::{label, since, turn_state};
pub(crate) use watching::{ListInstances, MonitorInstance};

use crate::complete;

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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server in the foreground
    Serve(Serve),
    /// Show the settings that a server would have, and where each comes from
    Config(ShowConfig),
    /// See it work in one command: a server of its own, simulated Claude, nothing left behind
    Demo(Demo),
    /// Start a Claude process that stays until it is stopped
    StartInstance(StartInstance),
    /// List instances
    ListInstances(ListInstances),
    /// Show an instance
    ShowInstance(InstanceId),
    /// Show what happens to an instance as it happens, until it ends or Ctrl-C
    MonitorInstance(MonitorInstance),
    /// End an instance; its conversation stays
    StopInstance {
        #[command(flatten)]
        target: InstanceId,
        /// Cancel its running turn at once instead of letting it end
        #[arg(long)]
        now: bool,
    },
    /// Stop an instance's process where it is, once its turn has ended; turns wait
    PauseInstance(InstanceId),
    /// Let a paused instance go on
    ResumeInstance(InstanceId),
    /// End an instance's running turn; its process stays
    InterruptInstance(InstanceId),
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
    ListConversations {
        /// Only those with this module on either side
        #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::modules))]
        module: Option<String>,
    },
    /// Show a conversation with its turns
    ShowConversation(ConversationId),
    /// Ask in a conversation and print the answer as it comes
    ContinueConversation {
        #[command(flatten)]
        target: ConversationId,
        #[command(flatten)]
        question: Question,
    },
    /// Make a conversation's context anew, from its modules as they are now
    UpgradeConversation(ConversationId),
    /// Watch the turns of a conversation as they come, until Ctrl-C
    WatchConversation(WatchConversation),
    /// Show a turn
    ShowTurn(TurnId),
    /// Wait until a turn has ended and show it
    WaitTurn(OpenTurnId),
    /// End a turn that has not ended
    CancelTurn(OpenTurnId),
    /// List turns, oldest first
    ListTurns(ListTurns),
    /// Register a module, or a new version of it
    RegisterModule(RegisterModule),
    /// List modules
    ListModules,
    /// Show a module: what it can do, and how it stands to others
    ShowModule(ShowModule),
    /// Take a registered module out of the registry; its conversations go on
    UnregisterModule {
        /// The module
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::registered_modules))]
        name: String,
    },
    /// Find modules by what they can do, best first; all that is given must fit
    DiscoverModules(DiscoverModules),
    /// Check module descriptors without a server: a line a problem, exit code 1 if there is one
    ValidateModule(ValidateModule),
    /// Ask a module and print the answer as it comes
    QueryModule(QueryModule),
    /// Show what Claude would be told, without asking it
    PreviewContext(PreviewContext),
    /// Make, list and revoke the tokens that callers over TCP show
    #[command(subcommand)]
    Token(Token),
    /// Show what the server is doing
    Status,
    /// Check the CLI, the login, the store, limits, directories and more, each with a remedy; exit code 1 if there is a problem
    Doctor(Doctor),
    /// Show what the server has counted since its start: turns, times, tokens, cost, processes, refusals
    Statistics,
    /// Print a script with which a shell completes commands, options, IDs and names
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// End the server once its running turns have ended; new ones are refused at once
    Drain(Drain),
    /// Print the version of this program
    Version,
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
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::conversations))]
    pub(crate) conversation: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateConversation {
    /// A title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// System prompt of every turn
    #[arg(long, value_name = "TEXT", conflicts_with = "to")]
    pub(crate) system_prompt: Option<String>,
    /// The module that asks [default: you]
    #[arg(long, value_name = "MODULE", requires = "to", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) from: Option<String>,
    /// The module that Claude speaks for
    #[arg(long, value_name = "MODULE", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) to: Option<String>,
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
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::instances))]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ConversationId {
    /// ID, or at least 4 characters of its start or end
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::conversations))]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct WatchConversation {
    #[command(flatten)]
    pub(crate) target: ConversationId,
    /// Also what was kept after this event; 0 for all of it [default: from now on]
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) from: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct TurnId {
    /// ID, or at least 4 characters of its start or end
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::turns))]
    pub(crate) id: String,
}

/// A turn that has most likely not ended.
#[derive(Debug, Args)]
pub(crate) struct OpenTurnId {
    /// ID, or at least 4 characters of its start or end
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::open_turns))]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListTurns {
    /// Only those of this conversation
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::conversations))]
    pub(crate) conversation: Option<String>,
    /// Only those of conversations with this module on either side
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::modules))]
    pub(crate) module: Option<String>,
    /// Only those in this state; may be given more than once
    #[arg(long = "state", value_name = "STATE", value_parser = turn_state, value_delimiter = ',', add = ArgValueCompleter::new(complete::turn_states))]
    pub(crate) states: Vec<TurnState>,
    /// Only those accepted since: a time as 2026-11-22T12:00:00Z, or how long ago, as in 10m, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<prost_types::Timestamp>,
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
                Command::ContinueConversation { question, .. } => {
                    Ok((question.text.expect("a prompt"), question.sending.background))
                }
                other => panic!("{other:?}"),
            }
        };
        for text in ["-5 degrees?", "- a list", "--- a line", "-"] {
            assert_eq!(parse(&[text]).expect(text), (text.to_owned(), false));
            assert_eq!(parse(&["--background", text]).expect(text), (text.to_owned(), true));
            assert_eq!(parse(&[text, "--background"]).expect(text), (text.to_owned(), true));
        }
        assert_eq!(parse(&["--", "--background"]).expect("escaped"), ("--background".to_owned(), false));
        let error: clap::Error = parse(&["--backgruond"]).expect_err("nearly an option");
        assert!(error.to_string().contains("did you mean --background?"), "{error}");
        let error: clap::Error = parse(&["--background"]).expect_err("no prompt");
        assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn a_question_needs_a_prompt_unless_a_template_is_named() {
        let parse = |words: &[&str]| {
            let line = ["claude-comms", "query-module", "arangodb"].iter().chain(words);
            match Arguments::try_parse_from(line)?.command {
                Command::QueryModule(query) => Ok(query.question),
                other => panic!("{other:?}"),
            }
        };
        let kind = |words| parse(words).map(|_| ()).map_err(|error: clap::Error| error.kind());
        use clap::error::ErrorKind;
        assert_eq!(kind(&[]), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(kind(&["why?", "--data", "--background"]), Err(ErrorKind::ArgumentConflict));
        assert_eq!(kind(&["why?", "--param", "depth"]), Err(ErrorKind::ValueValidation));
        assert_eq!(parse(&["--template", "report"]).expect("no prompt").text, None);
        let question = parse(&["-5?", "--param", "a=1", "--param", "b=2"]).expect("both");
        assert_eq!((question.text.as_deref(), question.shape.parameters.len()), (Some("-5?"), 2));
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
