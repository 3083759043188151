//! An operator sees each setting with its source, and changes a running server's settings with SIGHUP.

use std::{fs, path::Path};

use claude_comms_proto::v1::InstanceState;
use claude_comms_tests::{Ran, TestServer, eventually, processes, tools, wait::PATIENCE, world::World};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{HANG_ON_REQUEST, cancel, first_text, playing_turns, submit, wait, watch};

/// Runs the command line in a world without a server.
async fn cli(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = world.command(&tools::server_binary());
    command.args(arguments).envs(variables.iter().copied());
    Ran::to_end(command).await
}

#[tokio::test]
async fn config_shows_each_value_and_its_source_and_no_secret() {
    let world = World::new();
    let file = world.root().join("my.yaml");
    fs::write(&file, "# mine\npool:\n  max_queue: 9\nclaude: {environment: {KEY: canary}}\n").unwrap();
    let name = file.to_string_lossy().into_owned();
    let variables = [("CLAUDE_COMMS_RETRY__MAX_ATTEMPTS", "2")];
    let arguments = ["config", "--config", &name, "--data-dir", "/d"];
    let table = cli(&world, &variables, &arguments).await.expect(0);
    assert!(table.stderr.contains(&format!("read {name}")), "{}", table.stderr);
    let row = |key: &str| {
        let line = table.stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key} in {}", table.stdout)).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("pool.max_queue"), ["pool.max_queue", "9", "file", &format!("{name}:3")]);
    assert_eq!(row("data_dir"), ["data_dir", "/d", "flag", "--data-dir"]);
    assert_eq!(row("claude.environment")[1], "KEY=(set)");
    assert_eq!(
        row("retry.max_attempts"),
        ["retry.max_attempts", "2", "environment", "CLAUDE_COMMS_RETRY__MAX_ATTEMPTS"]
    );
    assert_eq!(row("auth.mode"), ["auth.mode", "token", "default"]);

    let programs = cli(&world, &variables, &[&arguments[..], &["--output", "json"]].concat()).await;
    let document = programs.expect(0).json();
    assert_eq!((&document["file"], &document["fileFound"]), (&json!(name), &json!(true)));
    let of = |key: &str| {
        let all = document["settings"].as_array().expect("a list");
        all.iter().find(|setting| setting["key"] == key).expect(key).clone()
    };
    assert_eq!(of("pool.max_queue")["value"], 9);
    assert_eq!(of("claude.environment")["value"], json!({"KEY": "(set)"}));
    assert_eq!(of("pool.max_queue")["reloads"], true);
    assert!(!format!("{table:?}{document}").contains("canary"));

    let nothing = cli(&world, &[], &["config"]).await.expect(0);
    assert!(nothing.stderr.contains("there is no ") && nothing.stderr.contains("claude-comms.yaml"));
    let bad = cli(&world, &[("CLAUDE_COMMS_POOL_MAX_QUEUE", "3")], &["config"]).await.expect(2);
    assert!(bad.stderr.contains("did you mean CLAUDE_COMMS_POOL__MAX_QUEUE?"), "{}", bad.stderr);
}

#[tokio::test]
async fn the_printed_default_file_is_a_servers_file_and_means_the_defaults() {
    let world = World::new();
    let printed = cli(&world, &[], &["config", "--default"]).await.expect(0).stdout;
    let file = world.root().join("default.yaml");
    fs::write(&file, &printed).unwrap();
    let name = file.to_string_lossy().into_owned();
    let values = async |arguments: &[&str]| -> Vec<Value> {
        let shown = cli(&world, &[], &[arguments, &["--output", "json"]].concat()).await.expect(0).json();
        let settings = shown["settings"].as_array().expect("a list").clone();
        settings.into_iter().map(|setting| json!([setting["key"], setting["value"]])).collect()
    };
    assert_eq!(values(&["config", "--config", &name]).await, values(&["config"]).await);
    let schema = cli(&world, &[], &["config", "--schema"]).await.expect(0).json();
    assert_eq!(schema["properties"]["pool"]["additionalProperties"], false);
}

/// Writes the server's file and tells it.
fn reload(server: &TestServer, yaml: &str) {
    fs::write(server.world().root().join("claude-comms.yaml"), yaml).unwrap();
    processes::signal(server.pid(), Signal::HUP);
}

/// Waits for a line of the log.
async fn logged(server: &TestServer, words: &str) -> String {
    eventually(PATIENCE, words, async || {
        server.log().lines().find(|line| line.contains(words)).map(str::to_owned)
    })
    .await
}

async fn status(server: &TestServer) -> Value {
    server.cli(&["status", "--output", "json"]).await.expect(0).json()
}

#[tokio::test]
async fn sighup_takes_what_is_safe_and_names_what_needs_a_restart() {
    let server = playing_turns(HANG_ON_REQUEST).configuration("pool: {max_instances: 3}\n").start().await;
    let client = server.client().await;
    let busy = client.new_conversation().await;
    let hanging = submit(&client, &busy, "hang").await;
    first_text(&mut watch(&client, &hanging.id, None, 0).await).await;
    for _ in 0..2 {
        let idle = client.new_conversation().await;
        let turn = submit(&client, &idle, "hello").await;
        wait(&client, &turn.id).await;
    }
    eventually(PATIENCE, "three instances", async || (status(&server).await["instances"] == 3).then_some(()))
        .await;

    let modules = server.world().root().join("modules");
    fs::create_dir(&modules).unwrap();
    let module = "schema: claude-comms/module/v1\nname: shelf\nversion: 1.0.0\ndescription: Keeps books.\n";
    fs::write(modules.join("shelf.yaml"), module).unwrap();
    reload(
        &server,
        &format!(
            "pool: {{max_instances: 1, max_queue: 5, turn_timeout: 7s}}\nlimits: {{prompt_bytes: 77}}\nmodule_dirs: [{}]\n",
            modules.display()
        ),
    );
    // The idle ones go, the busy one stays.
    let now = eventually(PATIENCE, "one instance", async || {
        let now = status(&server).await;
        (now["instances"] == 1).then_some(now)
    })
    .await;
    assert_eq!(
        (&now["maxInstances"], &now["maxQueue"], &now["turnTimeout"]),
        (&json!(1), &json!(5), &json!("7s"))
    );
    assert_eq!(now["promptLimitBytes"], "2097152", "it needs a restart");
    let left = server.cli(&["list-instances", "--output", "json"]).await.expect(0).json();
    assert_eq!(left["instances"][0]["state"], InstanceState::Busy.as_str_name());
    assert_eq!(left["instances"][0]["conversationId"], busy);
    let line = logged(&server, "need a restart").await;
    assert!(line.contains("limits.prompt_bytes") && !line.contains("pool."), "{line}");
    logged(&server, "settings read again").await;
    eventually(PATIENCE, "the module of the new directory", async || {
        (server.cli(&["show-module", "shelf"]).await.code == Some(0)).then_some(())
    })
    .await;

    // A directory that is not named any more takes its modules with it, and a higher limit lets turns run again.
    reload(&server, "pool: {max_instances: 2}\n");
    eventually(PATIENCE, "the module is gone", async || {
        (server.cli(&["show-module", "shelf"]).await.code == Some(4)).then_some(())
    })
    .await;
    let another = client.new_conversation().await;
    let turn = submit(&client, &another, "hello").await;
    assert!(wait(&client, &turn.id).await.text.starts_with("[simulated] "));
    cancel(&client, &hanging.id).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_leaves_everything_as_it_is() {
    let server = TestServer::simulated().configuration("pool: {max_queue: 3}\n").start().await;
    for (yaml, words) in [
        ("pool:\n  max_queue: 4\n  max_instance: 4\n", "did you mean pool.max_instances?"),
        ("pool: {max_queue: 5, max_instances: 0}\n", "must be a whole number from 1"),
        ("pool: [\n", "not valid YAML"),
    ] {
        reload(&server, yaml);
        let line = logged(&server, words).await;
        assert!(line.contains("everything stays as it is") && line.contains("claude-comms.yaml"), "{line}");
        assert_eq!(status(&server).await["maxQueue"], 3);
    }
    fs::remove_file(server.world().root().join("claude-comms.yaml")).unwrap();
    processes::signal(server.pid(), Signal::HUP);
    logged(&server, "cannot be read").await;
    assert_eq!(status(&server).await["maxQueue"], 3);
    reload(&server, "pool: {max_queue: 6}\n");
    eventually(PATIENCE, "the good file", async || (status(&server).await["maxQueue"] == 6).then_some(()))
        .await;
    assert!(Path::new(&server.world().socket()).exists());
}
