//! A process that takes too much memory is killed with all that it started; nobody else notices.

use claude_comms_proto::v1::{TurnState, turn_event::Event};
use claude_comms_tests::{PATIENCE, TestServer, eventually, processes};

use super::support::{figure, get, recycled, reload, start, until_dormant};
use crate::simulated::support::{
    children, completed, failed, playing_turns, start_instance, submit_running, wait,
};

const SWELL: &str = "turns:\n\
  - { when: { contains: swell }, steps: [{ text: Swelling }, { spawn_grandchild: { seconds: 600 } }, { allocate_mebibytes: 160 }, hang] }\n\
  - { when: { contains: grow }, steps: [{ allocate_mebibytes: 64 }, { text: grown }] }\n";

#[tokio::test]
async fn a_turn_whose_process_takes_too_much_fails_at_once_and_the_next_one_runs() {
    let (server, client) = start(playing_turns(SWELL), "pool: { memory_hard_limit: 128MiB }\n").await;
    let (swells, other) = (start_instance(&client, "swells").await, start_instance(&client, "other").await);
    completed(client.ask(&swells.conversation_id, "before").await.turn());
    let mut heard = submit_running(&client, &swells.conversation_id, "swell").await;
    let turn = heard.to_end().await.clone();
    let words = failed(&turn, "MEMORY_LIMIT");
    assert!(words.contains("128 MiB") && words.contains("pool.memory_hard_limit"), "{words}");
    assert_eq!(turn.partial_text, "Swelling", "{turn:?}");
    assert_eq!(wait(&client, &turn.id).await, turn, "one terminal record");
    let ends = heard.events.iter().filter(|event| matches!(event.event, Some(Event::Failed(_)))).count();
    assert_eq!(ends, 1, "{:?}", heard.events);
    until_dormant(&client, "swells", "memory_limit").await;
    eventually(PATIENCE, "its tree is gone, the other one stays", async || {
        let left = server.processes().claudes();
        (left.len() == 1 && left[0].pid == other.process_id && children(&server).len() <= 2).then_some(())
    })
    .await;
    assert_eq!(recycled(&server, "memory_hard_limit").await, 1.0);
    let line = "claude_comms_turns_total{reason=\"MEMORY_LIMIT\",state=\"FAILED\"}";
    assert_eq!(figure(&server, line).await, 1.0);

    let heard = client.ask(&swells.conversation_id, "after").await;
    assert_eq!(heard.turn().state(), TurnState::Completed, "{:?}", heard.turn());
    assert_eq!(get(&client, "swells").await.process_generation, 2);
    completed(client.ask(&other.conversation_id, "untouched").await.turn());
}

#[tokio::test]
async fn an_idle_process_beyond_a_new_limit_is_killed() {
    let (server, client) = start(playing_turns(SWELL), "").await;
    let grown = start_instance(&client, "grown").await;
    completed(client.ask(&grown.conversation_id, "grow").await.turn());
    reload(&server, "pool: { memory_hard_limit: 48MiB }\n");
    let dormant = until_dormant(&client, "grown", "memory_limit").await;
    assert_eq!(dormant.exit.map(|exit| exit.code), Some(137));
    assert!(!processes::is_alive(grown.process_id));
    let heard = client.ask(&grown.conversation_id, "and?").await;
    assert!(completed(heard.turn()).contains("\"grow\""), "{:?}", heard.turn());
}

#[tokio::test]
async fn limits_that_contradict_each_other_or_are_no_sizes_are_refused() {
    for (yaml, words) in [
        (
            "pool: { memory_limit: 2GiB, memory_hard_limit: 1GiB }\n",
            "pool.memory_hard_limit: must not be less than",
        ),
        ("pool: { memory_limit: much }\n", "must be a size such as 512MiB"),
        ("pool: { memory_limit: 5 }\n", "from 1MiB to 1024TiB"),
        ("pool: { max_turns: 0 }\n", "pool.max_turns must be a whole number from 1"),
        ("pool: { max_age: never }\n", "pool.max_age must be a span of time"),
    ] {
        let started = TestServer::simulated().configuration(yaml).try_start().await;
        let Err((refused, _world)) = started else { panic!("it must not start: {yaml}") };
        assert!(refused.stderr.contains(words), "{yaml}: {}", refused.stderr);
    }
}
