//! `demo`: one module asks another, in one command, plainly simulated, and nothing is left of it.

use std::fs;

use claude_comms_tests::{
    Ran, eventually,
    processes::{self, GONE_WITHIN, Kind},
    tools, within,
    world::World,
};

/// Runs the demo, which neither the user's settings nor the user's server have a part in.
async fn demo(world: &World, args: &[&str]) -> Ran {
    let mut command = world.command(&tools::server_binary());
    command.arg("demo").args(args).env("CLAUDE_COMMS_NONSENSE", "1");
    command.env("CLAUDE_COMMS_SERVER", "unix:/nonexistent");
    Ran::to_end(command).await
}

/// What stands between two texts.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    found.unwrap_or_else(|| panic!("no {before:?} … {after:?} in:\n{text}")).0
}

#[tokio::test]
async fn the_demo_tells_its_story_is_marked_simulated_and_leaves_nothing() {
    let world = World::new();
    let before = entries(&world);
    let ran = demo(&world, &[]).await.expect(0);
    assert_eq!(ran.stderr, "");
    // In this order.
    let mut rest = ran.stdout.as_str();
    for word in [
        "Claude is simulated",
        "marker    1.0.0    convert_to_markdown",
        "arangodb  1.0.0    run_aql",
        "/page/1/Table/3",
        "shared_data_types",
        "of 12000 tokens",
        "[simulated] Each block becomes a document",
        r#"(the data did not fit: edges.captions[0]: lacks the required member "_to"."#,
        "Claude was asked once more)",
        "[simulated] Each block becomes a document",
        "collections  chunks (document), under (edge), captions (edge)",
        "documents    12 of chunks",
        "edges        2 of captions, 11 of under",
        "chunks/quiet_lakes-p1-b2 → chunks/quiet_lakes-p1-b3",
        "FOR t IN 1..@depth INBOUND h @@under",
        "is gone",
        "[simulated] The blocks are stored as I said before",
        "FOR c IN 1..1 INBOUND t @@captions",
        "remembers",
        "marker 1.0.0 → arangodb 1.0.0",
        "COMPLETED  query@1.0.0",
        "COMPLETED  follow_up@1.0.0",
        "register-module mine",
    ] {
        let found = rest.split_once(word);
        rest = found.unwrap_or_else(|| panic!("no {word:?} there in:\n{}", ran.stdout)).1;
    }
    let killed = between(&ran.stdout, "\nProcess ", " is gone");
    let resumed = between(&ran.stdout, "\nA new process, ", ", has resumed");
    assert_ne!(killed.parse::<u32>().unwrap(), resumed.parse::<u32>().unwrap(), "another process goes on");
    world.processes().await_gone().await;
    assert_eq!(entries(&world), before, "no file is left");
}

#[tokio::test]
async fn the_demo_fits_80_columns_and_says_the_same_with_colours() {
    let world = World::new();
    let plain = demo(&world, &[]).await.expect(0).stdout;
    assert!(!plain.contains('\x1b'), "{plain}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let colored = demo(&world, &["--color", "always"]).await.expect(0).stdout;
    assert!(colored.contains("\x1b[1m1. Two modules"), "{colored}");
    let mut bare = String::new();
    for (index, piece) in colored.split("\x1b[").enumerate() {
        bare.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(bare.lines().count(), plain.lines().count());
    // From the fourth step on there are times, processes and IDs.
    assert!(bare.contains("\n4. "), "{bare}");
    for (bare, plain) in bare.lines().zip(plain.lines()).take_while(|(bare, _)| !bare.starts_with("4. ")) {
        assert_eq!(bare, plain);
    }
}

#[tokio::test]
async fn a_claude_that_gives_no_data_does_not_end_the_demo() {
    let world = World::new();
    // A Claude that only talks, in the place of the real one.
    let (claude, scenario) = (world.root().join("claude"), world.root().join("talk.yaml"));
    let talk = "turns:\n  - when: {turn: 3}\n    steps: [{text: This is turn 3.}]\n  - steps: [{text: No data from me.}]\n";
    fs::write(&scenario, talk).unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{}' __simulate --scenario '{}' \"$@\"\n",
        tools::server_binary().display(),
        scenario.display()
    );
    fs::write(&claude, script).unwrap();
    fs::set_permissions(&claude, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let before = entries(&world);
    let ran =
        demo(&world, &["--backend", "claude", "--claude-binary", claude.to_str().unwrap()]).await.expect(0);
    assert!(ran.stdout.contains("the real Claude"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("\nINVALID_OUTPUT: ").count(), 2, "it goes on:\n{}", ran.stdout);
    assert!(ran.stdout.contains("This is turn 3."), "and remembers:\n{}", ran.stdout);
    world.processes().await_gone().await;
    assert_eq!(entries(&world), before, "no file is left");
}

#[tokio::test]
async fn an_interrupted_demo_leaves_no_process() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::KILL] {
        let world = World::new();
        let mut command = world.command(&tools::server_binary());
        let mut child = command.arg("demo").spawn().unwrap();
        eventually(GONE_WITHIN, "its Claude runs", async || {
            (!world.processes().of(Kind::Simulated).is_empty()).then_some(())
        })
        .await;
        processes::signal(child.id().unwrap(), signal);
        within("the end of the demo", child.wait()).await.unwrap();
        world.processes().await_gone().await;
    }
}

/// Every file and directory of the world.
fn entries(world: &World) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut below = vec![world.root().to_path_buf()];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}
