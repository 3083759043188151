//! How many spares there are: within the slots, young, and made from the settings of now.

use std::time::Duration;

use claude_comms_tests::{PATIENCE, TestServer, eventually, processes::is_alive};

use super::{another, configuration, counts, instances, ready, reload, with_spares};
use crate::simulated::support::{completed, start_instance};

#[tokio::test]
async fn without_spares_nothing_is_started_before_it_is_needed() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let counts = counts(&client).await;
    assert_eq!((counts.spares, counts.wanted_spares, counts.spares_off.as_str()), (0, 0, ""));
    assert_eq!((instances(&client).await.len(), server.processes().claudes().len()), (0, 0));
}

#[tokio::test]
async fn spares_fit_into_the_slots_and_are_the_first_to_go() {
    let server = with_spares("max_instances: 3").warm_spares(2).start().await;
    let client = server.client().await;
    ready(&client, 2).await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "on a spare").await.turn());
    ready(&client, 2).await;
    // Each start takes a spare's slot; the idle conversation stays.
    start_instance(&client, "one").await;
    ready(&client, 1).await;
    start_instance(&client, "two").await;
    ready(&client, 0).await;
    let now = instances(&client).await;
    assert_eq!(now.len(), 3, "{now:?}");
    assert!(now.iter().any(|instance| instance.conversation_id == conversation), "{now:?}");
    assert!(server.processes().claudes().len() <= 3);
    let counts = counts(&client).await;
    assert_eq!((counts.spares, counts.wanted_spares, counts.slots), (0, 2, 3));
    // A slot that is free again gets a spare again.
    assert_eq!(server.cli(&["stop-instance", "--id", "two"]).await.code, Some(0));
    ready(&client, 1).await;
}

#[tokio::test]
async fn a_spare_that_nobody_used_is_replaced_after_its_time() {
    let server = with_spares("spare_max_age: 500ms").start().await;
    let client = server.client().await;
    let first = ready(&client, 1).await.remove(0);
    let second = another(&client, &first).await;
    assert!(!is_alive(first.process_id), "one at a time");
    assert_ne!(first.process_id, second.process_id);
    let remembered = server.cli(&["list-instances", "--all", "--output", "json"]).await.expect(0);
    assert!(!remembered.stdout.contains(&first.id), "nobody ever had to do with it: {}", remembered.stdout);
}

#[tokio::test]
async fn changed_settings_replace_spares_and_change_how_many_there_are() {
    let server = TestServer::simulated()
        .warm_spares_of_file()
        .configuration(configuration("warm_spares: 1"))
        .start()
        .await;
    let client = server.client().await;
    let first = ready(&client, 1).await.remove(0);
    reload(&server, &(configuration("warm_spares: 1") + "claude: {environment: {SOMETHING: else}}\n"));
    let second = another(&client, &first).await;
    eventually(PATIENCE, "the old one is gone", async || (!is_alive(first.process_id)).then_some(())).await;
    // What a process is not fixed to does not touch it.
    reload(
        &server,
        &(configuration("warm_spares: 2, turn_timeout: 7m") + "claude: {environment: {SOMETHING: else}}\n"),
    );
    let two = ready(&client, 2).await;
    assert!(two.iter().any(|spare| spare.id == second.id), "{two:?}");
    reload(&server, &configuration("warm_spares: 0"));
    ready(&client, 0).await;
    eventually(PATIENCE, "no process is left", async || {
        server.processes().claudes().is_empty().then_some(())
    })
    .await;
    assert_eq!(counts(&client).await.wanted_spares, 0);
}

#[tokio::test]
async fn spares_end_with_the_server_however_it_ends() {
    let mut server = with_spares("").warm_spares(2).start().await;
    ready(&server.client().await, 2).await;
    server.kill9().await;
    server.processes().await_gone().await;
    server.restart().await;
    ready(&server.client().await, 2).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), server.terminate()).await.expect("it drains");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(server.processes().all().is_empty());
}
