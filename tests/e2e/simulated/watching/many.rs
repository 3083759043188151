//! A thousand watchers of one instance, one of them stalled: nobody is slowed, and memory stays bounded.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::instance_event::Event;
use claude_comms_tests::{Client, processes::resident_bytes, tools::scale};
use tokio::task::JoinSet;

use super::{
    super::support::{playing_turns, start_instance},
    support::{Watcher, ask, monitor, stop},
};

const WATCHERS: usize = 1000;
/// A server keeps a connection's state for each; a watcher itself is a place in a log.
const CONNECTIONS: usize = 10;
/// What a thousand streams with their part of h2's buffers may cost, bytes: a debug build takes some 130 KiB for each.
const MOST_GROWTH_BYTES: u64 = 192 << 20;

async fn turns(client: &Client, id: &str, count: usize) -> Duration {
    let begin = Instant::now();
    for _ in 0..count {
        ask(client, id, "go").await;
    }
    begin.elapsed()
}

/// Reads to the end of the instance; the durable sequences and how many bytes of text it saw.
async fn read(mut watcher: Watcher) -> Vec<u64> {
    watcher.finish().await;
    watcher.durable().iter().map(|event| event.sequence).collect()
}

#[tokio::test]
async fn a_thousand_watchers_and_a_stalled_one_cost_bounded_memory_and_slow_nobody() {
    let count = scale(10, 60);
    let text = "word ".repeat(2000);
    let scenario = format!("turns:\n  - steps: [{{ text: \"{text}\" }}]\n");
    let server = playing_turns(&scenario).start().await;
    let client = server.client().await;
    let id = start_instance(&client, "watched").await.id;
    let alone = turns(&client, &id, count).await;
    let before = resident_bytes(server.pid());
    // It reads its first event and then nothing more.
    let stalled_client = server.client().await;
    let mut stalled = monitor(&stalled_client, &id, Some(0)).await;
    stalled.next().await.expect("its first event");

    let with_stalled = turns(&client, &id, count).await;
    let mut watchers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = server.client().await;
        for _ in 0..WATCHERS / CONNECTIONS {
            let watcher = monitor(&client, &id, Some(0)).await;
            watchers.spawn(read(watcher));
        }
    }
    let crowded = turns(&client, &id, count).await;
    let after = resident_bytes(server.pid());
    stop(&client, &id).await;
    let seen = watchers.join_all().await;
    let growth = after.saturating_sub(before);
    eprintln!(
        "{count} turns alone: {alone:?}; with a stalled watcher: {with_stalled:?}; with {WATCHERS} more: {crowded:?}; \
        memory grew by {} MiB to {} MiB",
        growth >> 20,
        after >> 20
    );
    assert_eq!(seen.len(), WATCHERS);
    // Five events of the start, four a turn, and the end.
    assert!(seen[0].len() > 3 * count * 4, "{}", seen[0].len());
    assert_eq!(seen[0], (1..=seen[0].len() as u64).collect::<Vec<_>>());
    assert!(seen.iter().all(|of_one| *of_one == seen[0]), "all see the same");
    assert!(growth < MOST_GROWTH_BYTES, "{growth} bytes");
    assert!(with_stalled < alone * 4 + Duration::from_secs(2), "{with_stalled:?}, alone {alone:?}");
    // Who stalled comes back to life and sees it all too.
    stalled.finish().await;
    let of_stalled: Vec<_> = stalled.durable().iter().map(|event| event.sequence).collect();
    assert_eq!(of_stalled, seen[0]);
    let ended = stalled.events.iter().filter(|event| matches!(event.event, Some(Event::TurnEnded(_))));
    assert_eq!(ended.count(), 3 * count);
}
