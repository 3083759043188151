//! Shells complete commands, options, and what the live server knows; without a server they complete what is left, at
//! once and without a word.

use std::{fs, path::PathBuf};

use claude_comms_tests::{Ran, TestServer, tools, within, world::World};
use tokio::process::Command;

use super::support::{HANG_ON_REQUEST, cancel, first_text, playing_turns, start_instance, submit, watch};

/// A shell with its script, in a world where a server may run.
struct Shell<'a> {
    world: &'a World,
    name: &'static str,
    /// What the shell's program is told; the script's path and the words follow.
    driver: &'static str,
    server: Option<String>,
}

/// What readline does when Tab is pressed.
const BASH: &str = r#"source "$1"; shift; complete -p claude-comms >/dev/null || exit 9
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
_clap_complete_claude_comms "$1" "${COMP_WORDS[COMP_CWORD]}" ""; [[ -z $COMPREPLY ]] || printf '%s\n' "${COMPREPLY[@]}""#;
/// What compsys does, with a place for the descriptions.
const ZSH: &str = r#"compdef() { :; }; _describe() { print -rl -- "${(@P)3}"; }
file=$1; shift; words=("$@"); CURRENT=$#; source $file; _clap_dynamic_completer_claude_comms"#;
const FISH: &str = r#"source $argv[1]; complete -C (string join -- ' ' $argv[2..-1])"#;

impl Shell<'_> {
    /// What the shell offers for the last of the words.
    async fn offers(&self, words: &[&str]) -> Vec<String> {
        let script = self.world.root().join(format!("complete.{}", self.name));
        if !script.exists() {
            let mut print = self.world.command(&tools::server_binary());
            print.args(["completions", self.name]);
            fs::write(&script, Ran::to_end(print).await.expect(0).stdout).unwrap();
        }
        let mut shell: Command = self.world.command(&program(self.name).expect("it is installed"));
        match self.name {
            "bash" => shell.args(["--norc", "--noprofile", "-c", self.driver, "bash"]),
            "zsh" => shell.args(["-f", "-c", self.driver, "zsh"]),
            _ => shell.args(["--no-config", "-c", self.driver]),
        };
        shell.arg(&script).arg("claude-comms").args(words);
        if let Some(server) = &self.server {
            shell.env("CLAUDE_COMMS_SERVER", server);
        }
        let ran = Ran::to_end(shell).await;
        assert_eq!(ran.stderr, "", "{} {words:?}: {ran:#?}", self.name);
        ran.stdout.lines().map(str::to_owned).collect()
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

fn bash(server: &TestServer) -> Shell<'_> {
    Shell { world: server.world(), name: "bash", driver: BASH, server: Some(server.unix().to_owned()) }
}

#[tokio::test]
async fn bash_completes_commands_options_and_what_the_server_knows() {
    let server = playing_turns(HANG_ON_REQUEST).start().await;
    let client = server.client().await;
    start_instance(&client, "gardener").await;
    let bash = bash(&server);
    assert_eq!(bash.offers(&["show-i"]).await, ["show-instance"]);
    assert_eq!(bash.offers(&["list-turns", "--mod"]).await, ["--module"]);
    assert_eq!(bash.offers(&["list-turns", "--state", "ru"]).await, ["RUNNING"]);
    assert_eq!(bash.offers(&["completions", "z"]).await, ["zsh"]);

    assert_eq!(bash.offers(&["show-instance", "--id", "gar"]).await, ["gardener"]);
    assert_eq!(bash.offers(&["query-instance", "--id", ""]).await, ["gardener"]);
    assert_eq!(bash.offers(&["show-module", "arang"]).await, ["arangodb"]);
    assert_eq!(bash.offers(&["query-module", "arangodb", "why?", "--from", "arang"]).await, ["arangodb"]);
    assert_eq!(bash.offers(&["unregister-module", "arang"]).await, Vec::<String>::new(), "it is built in");

    let _ = server.cli(&["token", "create", "robot", "--scope", "read"]).await.expect(0);
    assert_eq!(bash.offers(&["token", "revoke", "r"]).await, ["robot"]);

    let conversation = client.new_conversation().await;
    let short = &conversation[conversation.len() - 8..];
    let offers = bash.offers(&["show-conversation", "--id", ""]).await;
    assert_eq!(offers.len(), 2, "the instance's and the new one: {offers:?}");
    assert!(offers.contains(&short.to_owned()), "{short} in {offers:?}");
    assert_eq!(bash.offers(&["show-conversation", "--id", &short[..5]]).await, [short]);
    let most = &conversation[..conversation.len() - 1];
    assert_eq!(bash.offers(&["list-turns", "--conversation", most]).await, [conversation.as_str()]);

    let turn = submit(&client, &conversation, "hang").await;
    first_text(&mut watch(&client, &turn.id, None, 0).await).await;
    let short = &turn.id[turn.id.len() - 8..];
    assert_eq!(bash.offers(&["cancel-turn", "--id", ""]).await, [short]);
    cancel(&client, &turn.id).await;
    assert_eq!(bash.offers(&["cancel-turn", "--id", ""]).await, Vec::<String>::new(), "it has ended");
    assert_eq!(bash.offers(&["show-turn", "--id", ""]).await, [short]);
}

#[tokio::test]
async fn bash_asks_the_server_that_the_line_names() {
    let server = TestServer::simulated().start().await;
    start_instance(&server.client().await, "gardener").await;
    let bash = Shell { server: None, ..bash(&server) };
    // Bash makes words of what stands round a colon and an equals sign.
    let path = server.unix().strip_prefix("unix:").expect("a Unix endpoint");
    let named = ["--server", "unix", ":", path];
    let offers = bash.offers(&[&["show-instance"], &named[..], &["--id", "g"]].concat()).await;
    assert_eq!(offers, ["gardener"]);
    let offers = bash.offers(&[&["show-module"], &named[..], &["arang"]].concat()).await;
    assert_eq!(offers, ["arangodb"]);
    let offers = bash.offers(&[&named[..], &["query-instance", "--id", "=", "g"]].concat()).await;
    assert_eq!(offers, ["gardener"]);
}

#[tokio::test]
async fn other_shells_tell_what_each_candidate_is() {
    let server = TestServer::simulated().start().await;
    start_instance(&server.client().await, "gardener").await;
    for (name, driver, divider) in [("zsh", ZSH, ':'), ("fish", FISH, '\t')] {
        if program(name).is_none() {
            println!("SKIPPED: completion in {name}, it is not installed");
            continue;
        }
        let server_name = Some(server.unix().to_owned());
        let shell = Shell { world: server.world(), name, driver, server: server_name };
        let one = async |words: &[&str]| {
            let offers = shell.offers(words).await;
            assert_eq!(offers.len(), 1, "{name} {words:?}: {offers:?}");
            let (value, about) = offers[0].split_once(divider).expect("a value and what it is");
            (value.to_owned(), about.to_owned())
        };
        assert_eq!(one(&["show-i"]).await, ("show-instance".into(), "Show an instance".into()));
        assert_eq!(one(&["list-turns", "--mod"]).await.0, "--module");
        let (value, about) = one(&["show-instance", "--id", "gar"]).await;
        assert!(value == "gardener" && about.starts_with("IDLE, 0 turns"), "{value}: {about}");
    }
}

#[tokio::test]
async fn without_a_server_or_with_one_that_is_silent_the_rest_is_completed() {
    let world = World::new();
    let bash = Shell { world: &world, name: "bash", driver: BASH, server: None };
    assert_eq!(bash.offers(&["show-instance", "--id", ""]).await, Vec::<String>::new());
    assert_eq!(bash.offers(&["show-i"]).await, ["show-instance"]);
    let odd = Shell { world: &world, name: "bash", driver: BASH, server: Some("nonsense://".into()) };
    assert_eq!(odd.offers(&["show-turn", "--id", ""]).await, Vec::<String>::new());

    // It takes connections and says nothing, for ever.
    let socket = world.root().join("silent.sock");
    let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let server = Some(format!("unix:{}", socket.display()));
    let silent = Shell { world: &world, name: "bash", driver: BASH, server };
    let offers = within("the end of waiting", silent.offers(&["show-conversation", "--id", ""])).await;
    assert_eq!(offers, Vec::<String>::new());
}
