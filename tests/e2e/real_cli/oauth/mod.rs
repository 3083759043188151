//! Logins without an API key. `--bare` does not work with them, so that each lock it gives is one of its own here.

mod config_dir;
mod locks;

use std::{
    fs,
    path::{Path, PathBuf},
};

use claude_comms_tests::{messages_api::Request, server::Builder};

use super::stage::Stage;

/// A made-up token. It must be nowhere but in the header of the requests to the API.
const TOKEN: &str = "sk-ant-oat01-made-up-canary";

/// A server whose only login is the token.
fn with_token(builder: Builder) -> Builder {
    builder.without_environment("ANTHROPIC_API_KEY").environment("CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
}

/// The working directory of the one CLI that runs.
fn working_directory(stage: &Stage) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", stage.claude_pid())).unwrap()
}

/// Puts what a user may have in a configuration directory (or in a `.claude` below a working directory) where the CLI
/// would look for it; the hooks and the server would make `ran`.
fn plant(directory: &Path, ran: &Path) {
    let hook = |event: &str| {
        let touch = format!("touch {}/{event}", ran.display());
        serde_json::json!({ event: [{ "hooks": [{ "type": "command", "command": touch }] }] })
    };
    let mut hooks = serde_json::Map::new();
    for event in ["SessionStart", "UserPromptSubmit", "Stop"] {
        hooks.extend(hook(event).as_object().unwrap().clone());
    }
    let settings =
        serde_json::json!({ "hooks": hooks, "outputStyle": "canary-style", "language": "canary-language" });
    let files = [
        ("CLAUDE.md", "canary of CLAUDE.md".to_owned()),
        ("rules/always.md", "canary of a rule".to_owned()),
        ("agents/a.md", "---\nname: canary\ndescription: canary of an agent\n---\nx".to_owned()),
        ("skills/canary/SKILL.md", "---\nname: canary\ndescription: canary of a skill\n---\nx".to_owned()),
        ("output-styles/canary-style.md", "---\nname: canary-style\n---\ncanary of a style".to_owned()),
        ("settings.json", settings.to_string()),
    ];
    for (name, content) in files {
        let file = directory.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

#[track_caller]
fn assert_no_canary(requests: &[Request]) {
    for request in requests {
        let body = request.body.to_string();
        assert!(!body.contains("canary"), "{body}");
    }
}
