//! A thousand watchers of one conversation, and one among them that reads nothing: no memory that grows, no turn held up.

use std::{
    fs,
    time::{Duration, Instant},
};

use claude_comms_proto::v1::conversation_service_client::ConversationServiceClient;
use claude_comms_tests::{TestServer, conversation_watcher::Watcher, within};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::simulated::support::{playing_turns, submit, wait};

const WATCHERS: usize = 1000;
const CONNECTIONS: usize = 10;
/// 40 KB of text a turn.
const PIECES: usize = 100;

/// Memory of the server itself, bytes.
fn resident(server: &TestServer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

async fn run_turn(client: &claude_comms_tests::Client, conversation: &str) -> Duration {
    let begun = Instant::now();
    let turn = submit(client, conversation, "go").await;
    wait(client, &turn.id).await;
    begun.elapsed()
}

#[tokio::test]
async fn a_thousand_watchers_and_a_stalled_one_cost_little_and_hold_nobody_up() {
    let text = "x".repeat(400);
    let server = playing_turns(&format!(
        "turns:\n  - steps: [{{ repeat: {{ text: \"{text}\", count: {PIECES}, delay_ms: 5 }} }}]\n"
    ))
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let alone = run_turn(&client, &conversation).await;
    let before = resident(&server);

    let stalled_client = server.client().await;
    let stalled = Watcher::new(&conversation, None).open(&stalled_client).await.unwrap();
    let mut readers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let target = Endpoint::from_shared(server.unix().to_owned()).unwrap();
        let channel = within("a connection", target.connect()).await.unwrap();
        for _ in 0..WATCHERS / CONNECTIONS {
            let mut calls = ConversationServiceClient::new(channel.clone());
            let mut watcher = Watcher::new(&conversation, None);
            let request = watcher.request();
            let mut stream = within("a watch", calls.watch_conversation(request)).await.unwrap().into_inner();
            watcher.sequence = Some(stream.message().await.unwrap().unwrap().sequence);
            readers.spawn(async move {
                for _ in 0..4 {
                    watcher.until(&mut stream, "completed").await;
                }
                watcher.ended.values().map(|(text, _)| text.len()).collect::<Vec<_>>()
            });
        }
    }
    let watched = resident(&server);
    let mut longest = Duration::ZERO;
    let mut sizes = Vec::new();
    for _ in 0..4 {
        longest = longest.max(run_turn(&client, &conversation).await);
        sizes.push(resident(&server));
    }
    for lengths in readers.join_all().await {
        assert_eq!(lengths, [400 * PIECES; 4], "every watcher has every text whole");
    }
    drop(stalled);
    let mebibytes = |bytes: u64| bytes >> 20;
    eprintln!(
        "{WATCHERS} watchers: {} MiB before, {} MiB with them, {:?} MiB after each turn; a turn took {alone:?} alone, \
         {longest:?} at most with them",
        mebibytes(before),
        mebibytes(watched),
        sizes.iter().map(|size| mebibytes(*size)).collect::<Vec<_>>()
    );
    // What one holds is a piece of text, its message and the buffers of HTTP/2.
    let held = u64::try_from(WATCHERS).unwrap() * (256 << 10);
    assert!(sizes.iter().all(|size| *size < before + held), "what a thousand watchers hold: {sizes:?}");
    assert!(longest < alone + Duration::from_secs(10), "{alone:?} alone, {longest:?} with them");
}

#[tokio::test]
async fn a_watcher_that_stalls_costs_the_same_after_much_text_as_after_little() {
    const STALLED: usize = 50;
    let server = playing_turns(&format!(
        "turns:\n  - steps: [{{ repeat: {{ text: \"{}\", count: 64 }} }}]\n",
        "y".repeat(16 << 10)
    ))
    .start()
    .await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let connection = server.client().await;
        let stream = Watcher::new(&conversation, None).open(&connection).await.unwrap();
        stalled.push((connection, stream));
    }
    // The first turns fill what the connections hold, and the allocator's own stores.
    for _ in 0..4 {
        run_turn(&client, &conversation).await;
    }
    let little = resident(&server);
    for _ in 0..16 {
        run_turn(&client, &conversation).await;
    }
    let much = resident(&server);
    eprintln!(
        "{STALLED} stalled watchers: {} MiB after 4 MiB of text, {} MiB after 20",
        little >> 20,
        much >> 20
    );
    // If they held what they have not read, it would be 800 MiB. The store keeps some of the turns in its cache.
    assert!(much < little + (64 << 20), "{little} bytes, then {much}");

    // Each has missed nothing.
    let (_, stream) = stalled.first_mut().unwrap();
    let mut watcher = Watcher { sequence: Some(0), ..Watcher::new(&conversation, None) };
    for _ in 0..20 {
        watcher.until(stream, "completed").await;
    }
    assert!(watcher.ended.values().all(|(text, _)| text.len() == 1 << 20), "each text is whole");
}
