//! The process table of a test's world sees what it must see.

use claude_comms_tests::{
    PATIENCE, eventually,
    processes::{Kind, descriptors, is_alive, resident_bytes, zombies_of},
    within,
    world::World,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn a_reparented_process_in_its_own_session_still_belongs_to_its_world() {
    let world = World::new();
    let mut command = world.command("/bin/sh".as_ref());
    command.args(["-c", "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!"]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within("the ID of the grandchild", lines.next_line()).await.unwrap().unwrap();
    let grandchild: u32 = line.parse().unwrap();
    let shell = child.id().unwrap();
    child.wait().await.unwrap();
    // While it becomes another program it shows no environment for a moment.
    let orphan =
        eventually(PATIENCE, "the grandchild", async || world.processes().of(Kind::Other).pop()).await;
    assert_eq!(orphan.pid, grandchild);
    assert_ne!(orphan.parent, shell);
    assert!(is_alive(grandchild) && descriptors(grandchild) >= 3 && resident_bytes(grandchild) > 0);
    claude_comms_tests::processes::signal(grandchild, rustix::process::Signal::KILL);
    world.processes().await_gone().await;
}

#[tokio::test]
async fn a_child_that_nobody_awaited_is_seen() {
    let world = World::new();
    let mut command = world.command("/bin/sh".as_ref());
    // The shell that takes the place of the first never waits for the child of the first.
    command
        .args(["-c", "true & exec sh -c 'echo up; read line <&3' 3<&0"])
        .stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    within("the second shell", lines.next_line()).await.unwrap();
    let shell = child.id().unwrap();
    claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "a zombie", async || {
        (!zombies_of(shell).is_empty()).then_some(())
    })
    .await;
    drop(child.stdin.take());
    child.wait().await.unwrap();
    world.processes().await_gone().await;
}
