//! The commands for modules, as people and as scripts use them.

use std::{fs, process::Stdio};

use claude_comms_tests::{Ran, TestServer, within, world::World};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::support::{counter, with_role};
use crate::simulated::support::playing;

async fn json(server: &TestServer, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    server.cli(&arguments).await.expect(0).json()
}

/// Runs a command that must succeed; every word must be there, in this order.
async fn prints(server: &TestServer, arguments: &[&str], words: &[&str]) -> Ran {
    let ran = server.cli(arguments).await.expect(0);
    let mut rest = ran.stdout.as_str();
    for word in words {
        rest = rest.split_once(word).unwrap_or_else(|| panic!("no {word:?} there in:\n{}", ran.stdout)).1;
    }
    ran
}

async fn with_input(server: &TestServer, arguments: &[&str], input: &str) -> Ran {
    let mut command = server.cli_command(arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    within("the command", child.wait_with_output()).await.unwrap().into()
}

/// A server that plays `structured`, and a folder with the descriptor of `counter` and a template.
async fn server() -> TestServer {
    let server = playing("structured").start().await;
    let root = server.world().root();
    fs::create_dir(root.join("counter")).unwrap();
    let mut described = counter();
    let templates = json!({"shout": "shout.j2"});
    described["context"] = json!({"templates": templates});
    fs::write(root.join("counter/claude-comms.module.yaml"), described.to_string()).unwrap();
    let shout = "---\nprompt: optional\nparameters: {times: {type: integer}, word: {type: string}}\n---\n{{ word }}{{ times }}! {{ prompt }}\n";
    fs::write(root.join("counter/shout.j2"), shout).unwrap();
    server
}

const REGISTER: &[&str] = &["register-module", "counter", "--path", "counter"];

#[tokio::test]
async fn a_module_is_registered_with_its_template_files_listed_shown_and_taken_out() {
    let server = server().await;
    prints(&server, REGISTER, &["counter"]).await;
    let shown = json(&server, &["show-module", "counter"]).await;
    assert_eq!(
        (&shown["name"], &shown["revision"], &shown["origin"]),
        (&json!("counter"), &json!(1), &json!("MODULE_ORIGIN_REGISTERED"))
    );
    assert!(shown["path"].as_str().unwrap().ends_with("/counter"), "the path is whole: {shown}");
    assert!(
        shown["descriptorJson"].as_str().unwrap().contains("prompt: optional"),
        "template files are sent along: {shown}"
    );
    let again = json(&server, REGISTER).await;
    assert_eq!((&again["revision"], &again["digest"]), (&json!(1), &shown["digest"]));
    prints(
        &server,
        &["show-module", "counter"],
        &["counter", "1.0.0", "REGISTERED", "count_things", "count: integer"],
    )
    .await;
    let descriptor = server.cli(&["show-module", "counter", "--descriptor"]).await.expect(0).stdout;
    assert!(descriptor.starts_with("schema: claude-comms/module/v1"), "{descriptor}");
    let from_stdin = with_input(
        &server,
        &["register-module", "counter", "--path", ".", "--desc", "-", "--output", "json"],
        &descriptor,
    )
    .await;
    assert_eq!(from_stdin.expect(0).json()["digest"], shown["digest"], "what is printed can be registered");

    prints(
        &server,
        &["list-modules"],
        &["NAME", "VERSION", "ORIGIN", "arangodb", "BUILT_IN", "counter", "REGISTERED", "marker"],
    )
    .await;
    let list = json(&server, &["list-modules"]).await;
    assert_eq!(list["modules"].as_array().unwrap().len(), 4);
    prints(
        &server,
        &["discover-modules", "--capability", "count_things"],
        &["NAME", "MATCHED", "counter", "capability count_things"],
    )
    .await;
    let found = json(&server, &["discover-modules", "--capability", "count_things"]).await;
    assert_eq!((&found["total"], &found["modules"][0]["module"]["name"]), (&json!(1), &json!("counter")));
    for arguments in [&["--tag", "database"][..], &["--data-type", "document_chunk"], &["--text", "aql"]] {
        let found = json(&server, &[&["discover-modules"], arguments].concat()).await;
        assert!(found["modules"].to_string().contains("arangodb"), "{arguments:?}: {found}");
    }

    let file = server.world().root().join("lower.json");
    fs::write(&file, with_role("counter", "0.9.0", "older").to_string()).unwrap();
    let lower = ["register-module", "counter", "--path", ".", "--desc", file.to_str().unwrap()];
    let refused = server.cli(&lower).await.expect(1);
    assert!(
        refused.stderr.contains("MODULE_VERSION_LOWER") && refused.stderr.contains("force"),
        "{}",
        refused.stderr
    );
    assert_eq!(json(&server, &[&lower[..], &["--force"]].concat()).await["version"], "0.9.0");
    let old = json(&server, &["show-module", "counter", "--version", "1.0.0", "--revision", "1"]).await;
    assert_eq!(old["digest"], shown["digest"]);

    prints(&server, &["unregister-module", "counter"], &["counter"]).await;
    let gone = server.cli(&["show-module", "counter"]).await.expect(4);
    assert!(gone.stderr.contains("MODULE_NOT_FOUND") || gone.stderr.contains("no module"), "{}", gone.stderr);
    let _ = server.cli(&["unregister-module", "counter"]).await.expect(4);
}

#[tokio::test]
async fn a_module_is_asked_with_data_parameters_and_standard_input() {
    let server = server().await;
    let _ = server.cli(REGISTER).await.expect(0);
    let asked = prints(
        &server,
        &["query-module", "counter", "ASK-DATA", "--from", "marker", "--capability", "count_things"],
        &["Seven."],
    )
    .await;
    assert!(!asked.stdout.contains("queued"), "{}", asked.stdout);
    let data = server
        .cli(&["query-module", "counter", "ASK-TEXT", "--capability", "count_things", "--data"])
        .await
        .expect(0);
    assert_eq!(data.json(), json!({"count": 7}), "repaired, and data alone");
    let schema = server.world().root().join("schema.json");
    fs::write(&schema, r#"{"type": "object", "required": ["count"]}"#).unwrap();
    let arguments =
        ["query-module", "counter", "ASK-DATA", "--schema", schema.to_str().unwrap(), "--output", "json"];
    let events = server.cli(&arguments).await.expect(0).json_lines();
    let turn = &events.last().unwrap()["completed"]["turn"];
    assert_eq!((&turn["data"], &turn["dataJson"]), (&json!({"count": 7.0}), &json!("{\"count\": 7}")));
    assert_eq!(turn["state"], "TURN_STATE_COMPLETED");
    let id = turn["conversationId"].as_str().unwrap().to_owned();

    let from_stdin =
        with_input(&server, &["query-module", "counter", "-"], "ASK-TEXT\nby a pipe").await.expect(0);
    assert!(from_stdin.stdout.contains("I think there are seven."), "{from_stdin:?}");
    let submitted = json(
        &server,
        &[
            "query-module",
            "counter",
            "--template",
            "shout",
            "--param",
            "times=3",
            "--param",
            "word=ASK-TEXT",
            "--background",
        ],
    )
    .await;
    assert_eq!(submitted["message"].as_str().unwrap().trim_end(), "ASK-TEXT3!");
    let ended = json(&server, &["wait-turn", "--id", submitted["id"].as_str().unwrap()]).await;
    assert_eq!(ended["text"], "I think there are seven.");
    let later = ["query-module", "counter", "and?", "--conversation", &id, "--output", "json"];
    let events = server.cli(&later).await.expect(0).json_lines();
    assert_eq!(events.last().unwrap()["completed"]["turn"]["template"], "follow_up@1.0.0");
    let by_continue =
        ["continue-conversation", "--id", &id, "ASK-DATA", "--schema", schema.to_str().unwrap(), "--data"];
    assert_eq!(server.cli(&by_continue).await.expect(0).json(), json!({"count": 7}));

    prints(&server, &["show-turn", "--id", submitted["id"].as_str().unwrap()], &["COMPLETED", "shout@1.0.0"])
        .await;
    prints(&server, &["show-conversation", "--id", &id], &["counter 1.0.0"]).await;
    prints(&server, &["list-conversations"], &["marker", "counter"]).await;
    let narrowed = json(&server, &["list-turns", "--module", "marker"]).await;
    assert_eq!(narrowed["turns"].as_array().unwrap().len(), 1);

    let unanswerable = server.cli(&["query-module", "counter", "ASK-UNKNOWN"]).await;
    assert!(unanswerable.code != Some(0) && unanswerable.stderr.contains("UNANSWERABLE"), "{unanswerable:?}");
    assert!(unanswerable.stderr.contains("I would need a list."), "{}", unanswerable.stderr);
}

#[tokio::test]
async fn a_context_is_previewed_and_a_conversation_made_and_upgraded() {
    let server = server().await;
    let _ = server.cli(REGISTER).await.expect(0);
    let preview = ["preview-context", "counter", "How many?", "--from", "marker"];
    prints(&server, &preview, &["<protocol>", "<question>", "How many?"]).await;
    let shown = json(&server, &preview).await;
    assert!(
        shown["message"].as_str().unwrap().contains("How many?")
            && shown["estimatedTokens"].as_u64().unwrap() > 0,
        "{shown}"
    );
    let with_parameters =
        ["preview-context", "counter", "--template", "shout", "--param", "times=2", "--param", "word=hey"];
    assert_eq!(json(&server, &with_parameters).await["message"].as_str().unwrap().trim_end(), "hey2!");
    assert_eq!(json(&server, &["list-turns"]).await["turns"], json!([]), "nothing was asked");

    let made = json(&server, &["create-conversation", "--from", "marker", "--to", "counter"]).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["sourceModule"], &made["targetModule"]), (&json!("marker"), &json!("counter")));
    let mut described = counter();
    described["context"] = json!({"role": "You count anew."});
    let file = server.world().root().join("anew.json");
    fs::write(&file, described.to_string()).unwrap();
    let _ = server
        .cli(&["register-module", "counter", "--path", ".", "--desc", file.to_str().unwrap()])
        .await
        .expect(0);
    let upgraded = json(&server, &["upgrade-conversation", "--id", id]).await;
    assert_eq!((&upgraded["contextRevision"], &upgraded["targetVersion"]), (&json!(1), &json!("1.0.0#2")));
    prints(&server, &["upgrade-conversation", "--id", id], &["counter 1.0.0#2"]).await;
}

#[tokio::test]
async fn what_cannot_be_done_ends_with_its_own_exit_code_and_says_what_to_do() {
    let server = server().await;
    let _ = server.cli(REGISTER).await.expect(0);
    for (arguments, code, words) in [
        (&["query-module", "countr", "x"][..], 4, "counter"),
        (&["preview-context", "countr", "x"], 4, "counter"),
        (&["show-module", "countr"], 4, "counter"),
        (&["show-module", "counter", "--version", "9.9.9"], 4, "9.9.9"),
        (&["create-conversation", "--to", "countr"], 4, "counter"),
        (&["query-module", "counter"], 2, "PROMPT"),
        (&["query-module", "counter", "x", "--param", "nonsense"], 2, "nonsense"),
        (&["query-module", "counter", "x", "--capability", "count_thing"], 2, "count_things"),
        (&["query-module", "counter", "x", "--template", "shout", "--param", "time=1"], 2, "did you mean"),
        (
            &[
                "query-module",
                "counter",
                "x",
                "--template",
                "shout",
                "--param",
                "times=many",
                "--param",
                "word=a",
            ],
            2,
            "integer",
        ),
        (&["query-module", "Bad Name", "x"], 2, "Bad Name"),
        (&["register-module", "other", "--path", "counter"], 2, "counter"),
        (&["upgrade-conversation", "--id", "01a20465-0000-7000-8000-000000000000"], 4, "01a20465"),
    ] {
        let ran = server.cli(arguments).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    let ran = server.cli(&["register-module", "counter", "--path", "nowhere"]).await;
    assert!(ran.code != Some(0) && ran.stderr.contains("nowhere"), "{ran:?}");
    let ran = server.cli(&["query-module", "counter", "x", "--schema", "nowhere.json"]).await;
    assert!(ran.code != Some(0) && ran.stderr.contains("nowhere.json"), "{ran:?}");
}

#[tokio::test]
async fn descriptors_are_checked_without_a_server() {
    let world = World::new();
    let check = async |arguments: &[&str]| {
        let mut command = world.command(&claude_comms_tests::tools::server_binary());
        command.arg("validate-module").args(arguments);
        Ran::to_end(command).await
    };
    let root = world.root();
    fs::write(root.join("good.json"), counter().to_string()).unwrap();
    fs::write(
        root.join("bad.yaml"),
        "schema: claude-comms/module/v1\nname: bad\nversion: 1.0\ndescription: D.\ncapabilitys: []\n",
    )
    .unwrap();
    let _ = check(&["good.json"]).await.expect(0);
    let bad = check(&["good.json", "bad.yaml"]).await.expect(1);
    let lines: Vec<&str> = bad.stdout.lines().chain(bad.stderr.lines()).collect();
    for place in
        ["bad.yaml:3:10: version:", "bad.yaml:5:1: capabilitys: unknown key; did you mean \"capabilities\"?"]
    {
        assert!(lines.iter().any(|line| line.starts_with(place)), "{place} in {lines:#?}");
    }
    let missing = check(&["nowhere.yaml"]).await;
    let said = format!("{}{}", missing.stdout, missing.stderr);
    assert!(missing.code != Some(0) && said.contains("nowhere.yaml"), "{missing:?}");
    let repository = claude_comms_tests::tools::repository();
    let standard = repository.join("descriptors/standard");
    let _ = check(&[standard.to_str().unwrap()]).await.expect(0);
}

#[tokio::test]
async fn every_bad_descriptor_is_refused_with_exit_code_1_and_its_name() {
    let world = World::new();
    let bad = claude_comms_tests::tools::repository().join("descriptors/tests/bad");
    let entries = fs::read_dir(&bad).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    assert!(files.len() >= 30, "{} files", files.len());
    for file in files {
        let mut command = world.command(&claude_comms_tests::tools::server_binary());
        let ran = Ran::to_end({
            command.arg("validate-module").arg(&file);
            command
        })
        .await
        .expect(1);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(ran.stdout.contains(name) || ran.stderr.contains(name), "{name}: {ran:?}");
    }
}
