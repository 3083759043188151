//! Eight real CLIs at work while one after the other is killed: every turn has one end, every conversation goes on with all
//! that was answered in it, and no process is left.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use claude_comms_proto::v1::TurnState;
use claude_comms_tests::{
    PATIENCE, eventually,
    processes::{Kind, signal_if_there, zombies_of},
    report,
    seed::Seed,
    tools::scale,
};
use rustix::process::Signal;
use tokio::task::JoinSet;

use super::stage::{Stage, assert_answer};
use crate::simulated::{chaos::configuration, turns};

const INSTANCES: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn eight_clis_lose_no_turn_and_no_memory_while_they_are_killed() {
    let seed = Seed::new();
    let (each, kills) = scale((25, 12), (100, 60));
    let stage =
        Stage::with(|builder| builder.configuration(configuration(&format!("max_instances: {INSTANCES}"))))
            .await;
    let ended = Arc::new(AtomicUsize::new(0));
    let mut asking = JoinSet::new();
    let mut conversations = Vec::new();
    for number in 0..INSTANCES {
        let conversation = stage.client.new_conversation().await;
        conversations.push(conversation.clone());
        let (client, ended) = (stage.client.clone(), Arc::clone(&ended));
        asking.spawn(async move {
            for turn in 0..each {
                client.ask(&conversation, format!("prompt {number}/{turn}.")).await;
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut dice = seed.dice(0);
    let mut killed = 0;
    for kill in 1..=kills {
        let due = kill * INSTANCES * each / (kills + 1);
        eventually(2 * PATIENCE, "turns end", async || (ended.load(Ordering::Relaxed) >= due).then_some(()))
            .await;
        let claudes = stage.server.processes().of(Kind::Claude);
        assert!(claudes.len() <= INSTANCES, "{claudes:#?}");
        killed += usize::from(!claudes.is_empty() && signal_if_there(dice.pick(&claudes).pid, Signal::KILL));
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    assert!(killed > kills / 2, "{killed} were killed");

    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (number, conversation) in conversations.iter().enumerate() {
        let kept = turns(&stage.client, conversation).await;
        assert_eq!(kept.len(), each, "each accepted turn is kept once");
        assert_answer(&stage.client.ask(conversation, "and?").await, "and?");
        let remembered = stage.last_request_users();
        for (index, turn) in kept.iter().enumerate() {
            let prompt = format!("prompt {number}/{index}.");
            assert_eq!(turn.prompt, prompt, "in their order");
            let times = remembered.iter().filter(|user| **user == prompt).count();
            match turn.state() {
                TurnState::Completed => {
                    assert_eq!((turn.text.as_str(), times), (prompt.as_str(), 1), "{remembered:?}");
                }
                TurnState::Failed => {
                    // The second is of a process that was killed while it started.
                    let reason = turn.failure.as_ref().unwrap().reason.as_str();
                    assert!(["PROCESS_DIED", "SPAWN_FAILED"].contains(&reason), "{turn:?}");
                    assert_eq!(times, usize::from(turn.in_context), "{turn:?}: {remembered:?}");
                }
                other => panic!("{other:?} is no end: {turn:?}"),
            }
            *ends.entry(format!("{:?}", turn.state())).or_default() += 1;
        }
    }
    let claudes = stage.server.processes().of(Kind::Claude).len();
    assert!(claudes <= INSTANCES, "{claudes} run");
    eventually(PATIENCE, "no zombie", async || zombies_of(stage.server.pid()).is_empty().then_some(())).await;
    report::say(&format!("{INSTANCES} real CLIs, {} turns, {killed} killed: {ends:?}", INSTANCES * each));
}
