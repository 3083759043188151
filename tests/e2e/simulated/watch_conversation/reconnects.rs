//! No gap and no double at the seam: over connections that break and servers that end.

use std::sync::atomic::{AtomicBool, Ordering};

use claude_comms_tests::{
    Client, TestServer, conversation_watcher::Watcher, cutting_proxy::CuttingProxy, eventually,
};

use crate::simulated::support::{completed, get, playing_turns, submit, submit_running, turns, wait};

/// An answer of 150 pieces in 0.3 s.
const LONG: &str = "turns:\n  - steps: [{ repeat: { text: \"ein Wörtchen, \", count: 150, delay_ms: 2 } }]\n";
/// As often the connection breaks.
const CUTS: usize = 100;

#[tokio::test]
async fn a_watcher_whose_connection_breaks_a_hundred_times_has_the_stored_text() {
    let server = playing_turns(LONG).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    // The smallest is cut before the watch stands, others within a message.
    let limits = vec![400, 700, 1003, 1501, 2222, 900];
    let proxy =
        CuttingProxy::start(&server.world().root().join("cut.sock"), &server.world().socket(), limits);
    let mut watcher = Watcher::new(&conversation, Some(0));
    let enough = AtomicBool::new(false);
    let (accepted, ()) = tokio::join!(
        async {
            let mut accepted = Vec::new();
            while !enough.load(Ordering::SeqCst) {
                let turn = submit(&client, &conversation, "go").await;
                // Another one waits behind the one that runs.
                accepted.push(submit(&client, &conversation, "behind").await.id);
                wait(&client, &turn.id).await;
                accepted.push(turn.id);
            }
            for id in &accepted {
                wait(&client, id).await;
            }
            accepted
        },
        async {
            while proxy.cuts() < CUTS {
                read(&mut watcher, &proxy).await;
            }
            enough.store(true, Ordering::SeqCst);
        }
    );
    let mut stream = watcher.open(&client).await.unwrap();
    while watcher.ended.len() < accepted.len() {
        watcher.until(&mut stream, "completed").await;
    }
    for id in &accepted {
        let stored = get(&client, id).await;
        assert_eq!(watcher.ended[id].0, completed(&stored));
    }
    assert_eq!(watcher.sequence, Some(accepted.len() as u64 * 3), "three events a turn, none twice");
}

/// One connection's worth.
async fn read(watcher: &mut Watcher, proxy: &CuttingProxy) {
    let client = Client::connect(&proxy.endpoint(), None).await;
    let Ok(mut stream) = watcher.open(&client).await else { return };
    while let Ok(Some(message)) = stream.message().await {
        watcher.take(&message);
    }
}

#[tokio::test]
async fn a_watcher_goes_on_over_kills_and_restarts_of_the_server() {
    let mut server = playing_turns(LONG).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut watcher = Watcher::new(&conversation, None);
    let mut stream = watcher.open(&client).await.unwrap();
    submit_running(&client, &conversation, "killed").await;
    let queued = submit(&client, &conversation, "after the kill").await;
    watcher.until(&mut stream, "text").await;
    server.kill9().await;
    let broken = loop {
        match stream.message().await {
            Ok(Some(message)) => watcher.take(&message),
            Ok(None) => panic!("a server that was killed says nothing"),
            Err(status) => break status,
        };
    };
    server.processes().await_gone().await;
    server.restart().await;

    let client = server.client().await;
    // What was streamed of the turn that died is lost with the server: its record has no text.
    watcher.text.clear();
    let mut stream =
        watcher.open(&client).await.unwrap_or_else(|status| panic!("{status:?} after {broken:?}"));
    watcher.until(&mut stream, "failed").await;
    watcher.until(&mut stream, "completed").await;
    assert_eq!(watcher.ended[&queued.id].0, completed(&get(&client, &queued.id).await));

    ends_with_the_server(&mut server, &mut watcher).await;
    assert_eq!(watcher.durable.len() as u64, watcher.sequence.unwrap(), "each event once");
    assert_eq!(watcher.ended.len(), turns(&server.client().await, &conversation).await.len());
}

/// A server that drains lets its watchers see the running turn's end, sends them away, and has the rest after its restart.
async fn ends_with_the_server(server: &mut TestServer, watcher: &mut Watcher) {
    let client = server.client().await;
    let conversation = watcher.conversation.clone();
    let mut stream = watcher.open(&client).await.unwrap();
    let running = submit_running(&client, &conversation, "drained").await.turn_id().to_owned();
    let queued = submit(&client, &conversation, "after the drain").await;
    let (ran, status) = tokio::join!(server.terminate(), async {
        loop {
            match stream.message().await {
                Ok(Some(message)) => watcher.take(&message),
                Ok(None) => panic!("a server that ends says why"),
                Err(status) => break status,
            };
        }
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    assert_eq!(watcher.ended[&running].0, "ein Wörtchen, ".repeat(150), "it was told to its end");
    server.restart().await;
    let client = server.client().await;
    let mut stream = watcher.open(&client).await.unwrap();
    watcher.until(&mut stream, "completed").await;
    assert_eq!(watcher.ended[&queued.id].0, completed(&get(&client, &queued.id).await));
    eventually(claude_comms_tests::PATIENCE, "no turn runs", async || {
        let all = turns(&client, &conversation).await;
        all.iter().all(|turn| turn.end_time.is_some()).then_some(())
    })
    .await;
}
