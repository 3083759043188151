//! Reports of processes left behind by starts, and of starts that spoilt each other.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use claude_comms_tests::{
    PATIENCE, TestServer, eventually,
    processes::{Kind, Process},
    seed::Seed,
    tools::scale,
};
use tokio::task::JoinSet;

use crate::simulated::support::{completed, playing_turns, submit, wait};

const STARTS: usize = 12;
const ROOM: &str = "pool: {max_instances: 12}\n";

/// anthropics/claude-agent-sdk-typescript#142 and thedotmack/claude-mem#603: each server that dies leaves its children. Here
/// it dies while twelve of them start: each round at another moment.
#[tokio::test]
async fn a_server_killed_while_twelve_processes_start_leaves_none_of_them() {
    let seed = Seed::new();
    let mut dice = seed.dice(0);
    let slow = "start:\n  - initialize: { after_ms: 200 }\n";
    let mut server = playing_turns(slow).configuration(ROOM).start().await;
    for _ in 0..scale(6, 60) {
        let client = server.client().await;
        let mut submissions = JoinSet::new();
        for _ in 0..STARTS {
            let client = client.clone();
            submissions
                .spawn(async move { submit(&client, &client.new_conversation().await, "hello").await });
        }
        let accepted = submissions.join_all().await;
        let seen = 1 + dice.below(STARTS);
        eventually(PATIENCE, "some of them start", async || {
            (server.processes().of(Kind::Reaper).len() >= seen).then_some(())
        })
        .await;
        server.kill9().await;
        server.processes().await_gone().await;
        server.restart().await;
        let client = server.client().await;
        for turn in accepted {
            // Those that had not begun run now; the others have their one end.
            let ended = wait(&client, &turn.id).await;
            assert!(ended.end_time.is_some(), "{ended:?}");
        }
    }
}

fn variable(process: &Process, name: &str) -> Option<PathBuf> {
    let environment = fs::read_to_string(format!("/proc/{}/environ", process.pid)).ok()?;
    let mut variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
    variables.find(|(key, _)| *key == name).map(|(_, value)| value.into())
}

/// anthropics/claude-code#28922, #29158: a shared configuration is corrupted by processes that start at once; #53922: of ten
/// started at once the first four work.
#[tokio::test]
async fn twelve_started_at_once_all_answer_and_share_no_directory() {
    let server = TestServer::simulated().configuration(ROOM).start().await;
    let client = server.client().await;
    let mut asking = JoinSet::new();
    for number in 0..STARTS {
        let client = client.clone();
        asking.spawn(async move {
            let prompt = format!("prompt {number}");
            let heard = client.ask(&client.new_conversation().await, prompt.clone()).await;
            assert!(completed(heard.turn()).contains(&prompt), "{:?}", heard.turn());
            assert_eq!(heard.turn().attempt, 1, "none had to be tried again");
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let claudes = server.processes().claudes();
    assert!(claudes.len() >= STARTS, "{claudes:#?}");
    for name in ["HOME", "CLAUDE_CONFIG_DIR", "TMPDIR", "XDG_RUNTIME_DIR"] {
        let directories: BTreeSet<_> = claudes.iter().filter_map(|claude| variable(claude, name)).collect();
        assert_eq!(directories.len(), claudes.len(), "each has a {name} of its own: {directories:?}");
    }
}

/// agentclientprotocol/claude-agent-acp#1011: children pile up when one session is loaded again and again;
/// anthropics/claude-code#87891: a daemon that comes back adopts stale workers.
#[tokio::test]
async fn a_conversation_that_is_resumed_again_and_again_has_one_process() {
    // The first of a conversation and those that resume it, and a spare where there are spares.
    const MOST: usize = 2;
    let mut server = TestServer::simulated().start().await;
    let mut conversation = String::new();
    for round in 1..=scale(8, 80) {
        let client = server.client().await;
        if round == 1 {
            conversation = client.new_conversation().await;
        }
        let text = completed(client.ask(&conversation, format!("round {round}")).await.turn()).to_owned();
        assert!(text.contains(&format!("This is turn {round} of")), "{text}");
        let serving = server.processes().claudes().len();
        assert!((1..=MOST).contains(&serving), "{:#?}", server.processes().claudes());
        for claude in server.processes().claudes() {
            claude_comms_tests::processes::signal(claude.pid, rustix::process::Signal::KILL);
        }
        if round % 3 == 0 {
            server.kill9().await;
            server.processes().await_gone().await;
            server.restart().await;
        }
    }
}

/// anthropics/claude-code#18666: `initialize` hangs, and each try leaves a process that burns the machine.
#[tokio::test]
async fn a_start_that_hangs_and_is_given_up_leaves_no_process() {
    let server = playing_turns("start:\n  - initialize: deaf\n")
        .configuration("pool: { turn_timeout: 1s }\n")
        .start()
        .await;
    let client = server.client().await;
    for _ in 0..3 {
        let heard = client.ask(&client.new_conversation().await, "hello").await;
        crate::simulated::support::failed(heard.turn(), "TURN_TIMEOUT");
    }
    // Spares, where there are any, start and hang too: but never more than one at a time.
    eventually(Duration::from_secs(10), "the half-started processes are gone", async || {
        (server.processes().claudes().len() <= 1).then_some(())
    })
    .await;
}
