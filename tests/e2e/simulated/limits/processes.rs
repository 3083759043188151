//! A process that has served enough goes between turns; its conversation does not notice.

use claude_comms_tests::{PATIENCE, TestServer, eventually, processes};

use super::support::{get, recycled, start, until_dormant};
use crate::simulated::support::{completed, playing_turns, start_instance};

/// `grow` takes 64 MiB more and keeps them.
const GROW: &str =
    "turns: [{ when: { contains: grow }, steps: [{ allocate_mebibytes: 64 }, { text: grown }] }]\n";

#[tokio::test]
async fn after_its_turns_a_process_is_replaced_and_its_conversation_goes_on() {
    let (server, client) = start(TestServer::simulated(), "pool: { max_turns: 2 }\n").await;
    let pinned = start_instance(&client, "pinned").await;
    for round in 0..3_u32 {
        let generation = u64::from(round) + 1;
        let first = format!("first of round {round}");
        completed(client.ask(&pinned.conversation_id, first.clone()).await.turn());
        assert_eq!(u64::from(get(&client, "pinned").await.process_generation), generation);
        let second = client.ask(&pinned.conversation_id, "second").await;
        let text = completed(second.turn());
        assert!(text.contains(&format!("\"{first}\"")), "{text}");
        until_dormant(&client, "pinned", "max_turns").await;
    }
    assert_eq!(recycled(&server, "max_turns").await, 3.0);

    // What the pool made by itself goes with its process.
    let conversation = client.new_conversation().await;
    for turn in 1..=5 {
        let heard = client.ask(&conversation, format!("turn {turn}")).await;
        let text = completed(heard.turn());
        assert!(turn == 1 || text.contains(&format!("\"turn {}\"", turn - 1)), "{text}");
    }
    assert_eq!(recycled(&server, "max_turns").await, 5.0);
    let listed = server.cli(&["list-instances", "--all", "--output", "json"]).await.expect(0).json();
    let reasons: Vec<_> =
        listed["instances"].as_array().unwrap().iter().map(|i| &i["exit"]["reason"]).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "max_turns").count(), 3, "{listed}");
}

#[tokio::test]
async fn an_old_process_is_replaced_while_it_is_idle() {
    let (server, client) = start(TestServer::simulated(), "pool: { max_age: 300ms }\n").await;
    let pinned = start_instance(&client, "pinned").await;
    completed(client.ask(&pinned.conversation_id, "remember me").await.turn());
    until_dormant(&client, "pinned", "max_age").await;
    assert!(!processes::is_alive(pinned.process_id));
    let heard = client.ask(&pinned.conversation_id, "and?").await;
    let text = completed(heard.turn());
    assert!(text.contains("The one before asked: \"remember me\""), "{text}");
    assert!(recycled(&server, "max_age").await >= 1.0);
}

#[tokio::test]
async fn a_process_that_grew_is_replaced_after_its_turn_and_a_small_one_stays() {
    let yaml = "pool: { health_interval: 100ms, memory_limit: 60MiB }\n";
    let (server, client) = start(playing_turns(GROW), yaml).await;
    let (grows, stays) = (start_instance(&client, "grows").await, start_instance(&client, "stays").await);
    completed(client.ask(&stays.conversation_id, "hello").await.turn());
    completed(client.ask(&grows.conversation_id, "grow").await.turn());
    until_dormant(&client, "grows", "memory_limit").await;
    assert!(!processes::is_alive(grows.process_id));
    assert_eq!(recycled(&server, "memory_limit").await, 1.0);
    completed(client.ask(&grows.conversation_id, "and on").await.turn());
    let now = get(&client, "grows").await;
    assert_eq!((now.process_generation, now.turn_count), (2, 2), "{now:?}");

    let checked = eventually(PATIENCE, "a look at the small one", async || {
        get(&client, "stays").await.health.filter(|health| health.pss_bytes > 0)
    })
    .await;
    assert!(checked.pss_bytes < 60 << 20, "{checked:?}");
    assert_eq!(get(&client, "stays").await.process_id, stays.process_id);
}

#[tokio::test]
async fn a_process_that_grew_without_being_pinned_goes_with_its_instance() {
    let yaml = "pool: { health_interval: 100ms, memory_limit: 60MiB }\n";
    let (server, client) = start(playing_turns(GROW), yaml).await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "grow").await.turn());
    eventually(PATIENCE, "the process goes", async || server.processes().claudes().is_empty().then_some(()))
        .await;
    let text = client.ask(&conversation, "and?").await;
    assert!(completed(text.turn()).contains("The one before asked: \"grow\""), "{:?}", text.turn());
}
