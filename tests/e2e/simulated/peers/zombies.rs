//! Reports of processes that looked alive and were not.

use std::time::{Duration, Instant};

use claude_comms_tests::{PATIENCE, eventually, processes};
use rustix::process::Signal;

use crate::simulated::support::{completed, start_instance};

/// What a process that ended without anybody noticing may cost: the grace after its output ended, and the reaper's limit.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// anthropics/claude-code#89355: the process is a zombie, `kill -0` says that it lives, and whoever attaches hangs for
/// ever. anthropics/claude-code#93824: dead sessions are listed as idle.
#[tokio::test]
async fn a_zombie_is_not_taken_for_a_living_process() {
    let server = claude_comms_tests::TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    completed(client.ask(&instance.conversation_id, "remember me").await.turn());
    // Its reaper is stopped, so that nobody waits for it: it stays in the table of processes.
    let reaper = processes::read(instance.process_id).unwrap().parent;
    processes::signal(reaper, Signal::STOP);
    processes::signal(instance.process_id, Signal::KILL);
    eventually(PATIENCE, "a zombie", async || {
        processes::read(instance.process_id).is_some_and(|process| process.state == 'Z').then_some(())
    })
    .await;
    let begin = Instant::now();
    let heard = client.ask(&instance.conversation_id, "and?").await;
    let text = completed(heard.turn());
    assert!(text.contains("The one before asked: \"remember me\""), "{text}");
    assert!(begin.elapsed() < NOTICED_WITHIN, "it took {:?}", begin.elapsed());
    eventually(NOTICED_WITHIN, "the zombie and its reaper are gone", async || {
        (processes::read(instance.process_id).is_none() && processes::read(reaper).is_none()).then_some(())
    })
    .await;
}
