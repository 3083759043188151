//! Where the program plays: in a world of its own, with a made-up key and the stand-in's address.

use std::path::Path;

use claude_comms_tests::{MessagesApi, Ran, tools, world::World};
use serde::Deserialize;
use tokio::process::Command;

/// What the stand-in needs of a question.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub prompt: String,
    pub right: String,
    pub wrong: String,
}

/// The questions that are really asked.
pub(super) fn questions() -> Vec<Question> {
    let file = tools::repository().join("tests/live/questions.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The program, with no variable but those of its world and the path of the CLI and the binary under test.
pub(super) fn live(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(Path::new(env!("CARGO_BIN_EXE_live")));
    for name in ["CLAUDE_COMMS_TEST_CLAUDE", "CLAUDE_COMMS_BIN", "CLAUDE_COMMS_TEST_ROOT"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.args(arguments);
    command
}

/// Runs it against the stand-in, with these variables more.
pub(super) async fn run(api: &MessagesApi, arguments: &[&str]) -> Ran {
    let world = World::new();
    let mut command = live(&world, arguments);
    command
        .env("ANTHROPIC_API_KEY", "sk-ant-made-up")
        .env("ANTHROPIC_BASE_URL", api.base_url())
        .env("CLAUDE_CODE_MAX_RETRIES", "0");
    let ran = Ran::to_end(command).await;
    assert!(!format!("{ran:?}").contains("made-up"), "the key is nowhere printed: {ran:#?}");
    ran
}
