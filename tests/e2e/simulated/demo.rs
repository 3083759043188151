//! `demo`: the main job in one command, plainly simulated, and nothing is left of it.

use std::fs;

use claude_comms_tests::{
    Ran, eventually,
    processes::{self, GONE_WITHIN, Kind},
    tools, within,
    world::World,
};

#[tokio::test]
async fn the_demo_tells_its_story_is_marked_simulated_and_leaves_nothing() {
    let world = World::new();
    let mut command = world.command(&tools::server_binary());
    // Neither the user's settings nor the user's server have a part in it.
    command.args(["demo"]).env("CLAUDE_COMMS_NONSENSE", "1").env("CLAUDE_COMMS_SERVER", "unix:/nonexistent");
    let before = entries(&world);
    let ran = Ran::to_end(command).await.expect(0);
    for word in [
        "Claude is simulated",
        "[simulated]",
        "This is turn 1",
        "This is turn 2 of our conversation",
        "remembers",
    ] {
        assert!(ran.stdout.contains(word), "no {word:?} in:\n{}", ran.stdout);
    }
    assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
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
