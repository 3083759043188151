//! Spares that die, that cannot be claimed, and programs that cannot wait.

use claude_comms_tests::{PATIENCE, TestServer, eventually, processes};
use rustix::process::Signal;

use super::{another, configuration, counts, ready, reload, spares, with_spares};
use crate::simulated::support::{completed, failed, scenario, starts};

/// The first process of all refuses to be told who it is; the others do as they are told.
const REFUSES_ONCE: &str =
    "start:\n  - { once: { marker: refused }, initialize: { refuse: simulated refusal } }\n";

#[tokio::test]
async fn a_spare_that_cannot_be_claimed_is_followed_by_a_process_that_can_and_nobody_notices() {
    let builder = with_spares("");
    let scenario = builder.world().root().join("scenario.yaml");
    std::fs::write(&scenario, REFUSES_ONCE).unwrap();
    let server = builder.scenario(&scenario).start().await;
    let client = server.client().await;
    let spare = ready(&client, 1).await.remove(0);
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "hello").await;
    completed(heard.turn());
    assert_eq!((heard.turn().attempt, starts(&heard)), (1, 1), "no attempt was lost: {heard:?}");
    assert_eq!(heard.turn().instance_id, spare.id);
    assert!(!processes::is_alive(spare.process_id));
    let again = client.ask(&conversation, "again").await;
    assert!(completed(again.turn()).contains("turn 2 of our conversation"), "{again:?}");
    // One is no proof: spares go on.
    another(&client, &spare).await;
    let next = client.new_conversation().await;
    completed(client.ask(&next, "hello").await.turn());
}

#[tokio::test]
async fn a_spare_that_dies_is_replaced_and_a_second_one_in_a_row_ends_it_until_something_changes() {
    let server = TestServer::simulated()
        .warm_spares_of_file()
        .configuration(configuration("warm_spares: 1"))
        .start()
        .await;
    let client = server.client().await;
    let first = ready(&client, 1).await.remove(0);
    processes::signal(first.process_id, Signal::KILL);
    let second = another(&client, &first).await;
    // A good one in between: that there was a bad one is forgotten.
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "hello").await.turn());
    let third = another(&client, &second).await;
    processes::signal(third.process_id, Signal::KILL);
    let fourth = another(&client, &third).await;
    processes::signal(fourth.process_id, Signal::KILL);
    let off = eventually(PATIENCE, "spares are off", async || {
        let now = counts(&client).await;
        (!now.spares_off.is_empty()).then_some(now)
    })
    .await;
    assert_eq!((off.spares, off.wanted_spares), (0, 1));
    assert!(off.spares_off.contains("2 spares in a row ended by themselves"), "{}", off.spares_off);
    let status = server.cli(&["status"]).await.expect(0).stdout;
    assert!(status.contains("off: 2 spares in a row"), "{status}");
    assert!(server.log().contains("warm spares are off"), "{}", server.log());
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "without a spare").await.turn());
    assert!(spares(&client).await.is_empty());

    reload(&server, &configuration("warm_spares: 1, turn_timeout: 9m"));
    ready(&client, 1).await;
    assert_eq!(counts(&client).await.spares_off, "");
}

#[tokio::test]
async fn a_program_that_does_not_wait_to_be_claimed_has_no_spares_and_its_last_words_say_why() {
    let server = with_spares("").scenario(&scenario("exit_at_start")).start().await;
    let client = server.client().await;
    let off = eventually(PATIENCE, "spares are off", async || {
        let now = counts(&client).await;
        (!now.spares_off.is_empty()).then_some(now.spares_off)
    })
    .await;
    assert!(off.contains("2 spares in a row ended by themselves: simulated"), "{off}");
    let conversation = client.new_conversation().await;
    failed(client.ask(&conversation, "hello").await.turn(), "SPAWN_FAILED");
}
