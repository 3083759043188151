//! The wall clock jumps: no turn ends because of it, none is lost, and order stays order.

use claude_comms_tests::{TestServer, report};

use super::clock::Clock;
use crate::simulated::support::{completed, first_text, submit, turns, wait};

const DAY: i64 = 24 * 3600;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_no_turn_and_keeps_their_order() {
    let builder = TestServer::simulated();
    let file = builder.world().root().join("scenario.yaml");
    let slow = "turns:\n  - { when: { contains: slow }, steps: [{ repeat: { text: \"x \", count: 40, delay_ms: 10 } }] }\n";
    std::fs::write(&file, slow).unwrap();
    let clock = match Clock::new(builder.world()).await {
        Ok(clock) => clock,
        Err(why) => return report::skipped("clock jumps", &why),
    };
    let mut builder = builder.scenario(&file).configuration("pool: { turn_timeout: 1m, idle_timeout: 1h }\n");
    for (name, value) in clock.environment() {
        builder = builder.environment(name, value);
    }
    let mut server = builder.start().await;
    let mut client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut expected = Vec::new();
    for (round, jump) in [2 * DAY, -2 * DAY, 3600, -400 * DAY, 0].into_iter().enumerate() {
        let mut running = client.send(&conversation, "slow").await.unwrap();
        first_text(&mut running).await;
        let queued = submit(&client, &conversation, &format!("queued {round}")).await;
        clock.set(jump);
        assert_eq!(completed(running.to_end().await), "x ".repeat(40), "{jump}");
        completed(&wait(&client, &queued.id).await);
        let later = client.ask(&conversation, format!("later {round}")).await;
        completed(later.turn());
        expected.extend([running.turn_id().to_owned(), queued.id, later.turn_id().to_owned()]);
    }
    // Each server makes its IDs in the order of time; one that starts with a clock set back begins before those.
    let kept: Vec<String> = turns(&client, &conversation).await.into_iter().map(|turn| turn.id).collect();
    assert_eq!(kept, expected, "turns of a conversation are listed in the order in which they were accepted");
    for jump in [-400 * DAY, 2 * DAY] {
        clock.set(jump);
        server.kill9().await;
        server.processes().await_gone().await;
        server.restart().await;
        client = server.client().await;
        let heard = client.ask(&conversation, "after a restart").await;
        assert!(completed(heard.turn()).contains("The first asked: \"slow\""), "{:?}", heard.turn());
    }
    assert_eq!(turns(&client, &conversation).await.len(), expected.len() + 2);
}
