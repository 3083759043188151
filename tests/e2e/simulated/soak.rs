//! Many turns over many instances: memory, descriptors and times stay what they were. `tests/run --long` makes 100,000 of
//! them; the figures are printed.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually,
    processes::{descriptors, resident_bytes, zombies_of},
    report,
    tools::scale,
};
use tokio::task::JoinSet;

use super::{
    chaos::{Slope, configuration, quiet},
    support::{children, completed, playing},
};

/// Memory a turn, at most. Measured: 4 KB until the store's cache is full, then less.
const MOST_BYTES_A_TURN: f64 = 16.0 * 1024.0;
const SAMPLES: usize = 50;

fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * 99 / 100]
}

/// Everybody asks as soon as answered until so many turns were asked; returns each turn's time, in the order of their ends.
async fn ask(
    client: &Client,
    conversations: &[String],
    turns: usize,
    ended: &Arc<AtomicUsize>,
) -> Vec<Duration> {
    let (asked, times) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::with_capacity(turns))));
    let mut asking = JoinSet::new();
    for conversation in conversations {
        let (client, conversation, ended) = (client.clone(), conversation.clone(), Arc::clone(ended));
        let (asked, times) = (Arc::clone(&asked), Arc::clone(&times));
        asking.spawn(async move {
            while asked.fetch_add(1, Ordering::Relaxed) < turns {
                let begin = Instant::now();
                completed(client.ask(&conversation, "ping").await.turn());
                times.lock().expect("nobody panics under it").push(begin.elapsed());
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    Arc::into_inner(times).expect("all askers have ended").into_inner().expect("nobody panics under it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_leaves_memory_descriptors_and_times_as_they_were() {
    let (turns, instances) = scale((2_000, 16), (100_000, 64));
    let server = playing("echo_fast")
        .configuration(configuration(&format!("max_instances: {instances}, idle_timeout: 1h")))
        .start()
        .await;
    let client = server.client().await;
    let mut conversations = Vec::new();
    for _ in 0..instances {
        conversations.push(client.new_conversation().await);
    }
    let ended = Arc::new(AtomicUsize::new(0));
    ask(&client, &conversations, 10 * instances, &ended).await;
    let (before, processes) = (descriptors(server.pid()), children(&server).len());
    assert_eq!(processes, 2 * instances, "a Claude and its reaper for each conversation");

    ended.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    let mut slope = Slope::default();
    let sampling = async {
        for sample in 0..SAMPLES {
            eventually(Duration::from_secs(1200), "turns end", async || {
                (ended.load(Ordering::Relaxed) >= turns * sample / SAMPLES).then_some(())
            })
            .await;
            slope.push(ended.load(Ordering::Relaxed), resident_bytes(server.pid()));
        }
    };
    let (times, ()) = tokio::join!(ask(&client, &conversations, turns, &ended), sampling);
    let (took, tenth) = (begin.elapsed(), turns / 10);
    let (first, last) = (p99(&times[..tenth]), p99(&times[times.len() - tenth..]));
    report::say(&format!(
        "soak: {turns} turns over {instances} instances in {took:.1?} ({:.0}/s)\n\
         memory: {:+.2} KB a turn by {} samples, {:.1} MiB at the end; descriptors: {before} before, {} after\n\
         p99 of a turn: {first:.2?} in the first tenth, {last:.2?} in the last ({:.2} times)",
        turns as f64 / took.as_secs_f64(),
        slope.bytes_a_turn() / 1e3,
        slope.samples(),
        resident_bytes(server.pid()) as f64 / f64::from(1 << 20),
        descriptors(server.pid()),
        last.as_secs_f64() / first.as_secs_f64(),
    ));
    assert!(slope.bytes_a_turn() < MOST_BYTES_A_TURN, "{slope:?}");
    assert!(last < 3 * first + Duration::from_millis(20), "turns became slower: {first:?}, then {last:?}");
    eventually(PATIENCE, "descriptors as before", async || {
        (descriptors(server.pid()) <= before).then_some(())
    })
    .await;
    assert_eq!(children(&server).len(), processes, "nobody was replaced and nobody is left");
    eventually(PATIENCE, "no zombie", async || zombies_of(server.pid()).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_conversations_and_idle_instances_cost_the_server_little() {
    let (idle, instances) = scale((100, 20), (1_000, 200));
    let mut table = String::from("| the server holds | RSS, MiB |\n|---|---|\n");
    let row = |table: &mut String, what: &str, server: &TestServer| {
        let bytes = resident_bytes(server.pid());
        writeln!(table, "| {what} | {:.1} |", bytes as f64 / f64::from(1 << 20)).unwrap();
        bytes
    };
    let server = playing("echo_fast")
        .configuration(configuration("max_instances: 16, idle_timeout: 200ms"))
        .start()
        .await;
    let client = server.client().await;
    completed(client.ask(&client.new_conversation().await, "ping").await.turn());
    quiet(&server).await;
    let empty = row(&mut table, "nothing", &server);
    let mut asking = JoinSet::new();
    for _ in 0..idle {
        let client = client.clone();
        asking.spawn(async move {
            completed(client.ask(&client.new_conversation().await, "ping").await.turn());
        });
        if asking.len() == 16 {
            asking.join_next().await.expect("there are some").unwrap();
        }
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    quiet(&server).await;
    let with_idle = row(&mut table, &format!("{idle} idle conversations, no instance"), &server);
    drop((client, server));

    let server = playing("echo_fast")
        .configuration(configuration(&format!("max_instances: {instances}, idle_timeout: 1h")))
        .start()
        .await;
    let client = server.client().await;
    for _ in 0..instances {
        completed(client.ask(&client.new_conversation().await, "ping").await.turn());
    }
    assert_eq!(server.processes().claudes().len(), instances);
    let with_instances = row(&mut table, &format!("{instances} idle simulated instances"), &server);
    report::say(&table);
    // 64 KB of stderr ring, pipes' buffers and tasks: far below what a Claude takes.
    let bound = |count: usize, bytes: u64| (24 << 20) + count as u64 * bytes;
    assert!(with_idle.saturating_sub(empty) < bound(idle, 32 << 10), "{table}");
    assert!(with_instances.saturating_sub(empty) < bound(instances, 512 << 10), "{table}");
}
