//! Bugs that users of comparable programs reported, staged with the real CLI where the stand-in can provoke them. The rest,
//! and the table of all, is beside `simulated/peers`.

use std::fs;

use claude_comms_proto::v1::{TurnState, turn_event::Event};
use claude_comms_tests::{PATIENCE, Reply, eventually, processes::Kind};
use tokio::task::JoinSet;

use super::stage::{Stage, assert_answer, count};
use crate::simulated::support::completed;

const STARTS: usize = 12;
const ROOM: &str = "pool: {max_instances: 12}\n";

/// anthropics/claude-code#28922, #29158 (a shared `.claude.json`, corrupted 335 times in seven days at twelve processes),
/// #53922 (of ten started at once the first four work).
#[tokio::test(flavor = "multi_thread")]
async fn twelve_clis_started_at_once_all_answer_and_corrupt_no_configuration() {
    let stage = Stage::with(|builder| builder.configuration(ROOM)).await;
    let mut asking = JoinSet::new();
    for number in 0..STARTS {
        let client = stage.client.clone();
        asking.spawn(async move {
            let prompt = format!("prompt {number}");
            let heard = client.ask(&client.new_conversation().await, prompt.clone()).await;
            assert_answer(&heard, &prompt);
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let claudes = stage.server.processes().of(Kind::Claude).len();
    assert!(claudes >= STARTS, "{claudes} run");
    let mut configurations = 0;
    for directory in fs::read_dir(stage.server.data_dir().join("instances")).unwrap() {
        let mut folders = vec![directory.unwrap().path()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(|name| name == ".claude.json") {
                    let text = fs::read_to_string(&path).unwrap();
                    let whole: Result<serde_json::Value, _> = serde_json::from_str(&text);
                    assert!(whole.is_ok(), "{} is corrupt: {text}", path.display());
                    configurations += 1;
                }
            }
        }
    }
    assert!(configurations >= STARTS, "each has one of its own: {configurations}");
}

/// anthropics/claude-agent-sdk-typescript#142: 47 orphaned CLIs after 24 h.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_twelve_clis_start_leaves_none_of_them() {
    let mut stage = Stage::with(|builder| builder.configuration(ROOM)).await;
    let mut accepted = Vec::new();
    for _ in 0..STARTS {
        let conversation = stage.client.new_conversation().await;
        accepted.push(stage.submit(&conversation, "hello").await.id);
    }
    eventually(PATIENCE, "half of them start", async || {
        (stage.server.processes().of(Kind::Reaper).len() >= STARTS / 2).then_some(())
    })
    .await;
    stage.crash().await;
    stage.restart().await;
    for turn in accepted {
        let turn = stage.wait_turn(&turn).await;
        assert!(matches!(turn.state(), TurnState::Completed | TurnState::Failed), "{turn:?}");
    }
}

/// tinyhumansai/openhuman#5648 (the stored session never existed) and anthropics/claude-agent-sdk-python#387 (a bad
/// `--resume` waits 60 s).
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_cli_does_not_know_is_replaced_and_told() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    stage.kill_claude().await;
    stage.await_no_instance().await;
    fs::remove_file(stage.server.data_dir().join("transcripts").join(format!("{conversation}.jsonl")))
        .unwrap();
    let begin = std::time::Instant::now();
    let heard = stage.client.ask(&conversation, "two").await;
    completed(heard.turn());
    assert_eq!(count(&heard, |event| matches!(event, Event::SessionReset(_))), 1, "{:?}", heard.events);
    assert!(begin.elapsed().as_secs() < 30, "it took {:?}", begin.elapsed());
    let heard = stage.client.ask(&conversation, "three").await;
    completed(heard.turn());
    assert_eq!(count(&heard, |event| matches!(event, Event::SessionReset(_))), 0);
}

/// anthropics/claude-code#77112: piped output is cut at exactly 65,536 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_cli_writes_around_64_kibibytes_arrives_whole() {
    let stage = Stage::new().await;
    let deltas: Vec<String> = (0..24).map(|index| "z".repeat(65_536 - 460 + 20 * index)).collect();
    let expected: usize = deltas.iter().map(String::len).sum();
    stage.api.queue(Reply::compose(move |_| deltas.clone()));
    let heard = stage.client.ask(&stage.client.new_conversation().await, "much").await;
    completed(heard.turn());
    assert_eq!(heard.text.len(), expected);
}
