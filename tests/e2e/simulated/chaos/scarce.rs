//! No descriptor is free: what needs none goes on, what needs one is refused or ends with a reason, and once there are some
//! all goes on.

use claude_comms_proto::v1::TurnState;
use claude_comms_tests::{
    Client, PATIENCE, TestServer,
    client::reason,
    eventually,
    processes::{descriptors, limit_descriptors},
    within,
};

use super::storm::{configuration, quiet};
use crate::simulated::support::{completed, try_submit, wait};

#[tokio::test(flavor = "multi_thread")]
async fn without_free_descriptors_warm_turns_go_on_and_others_end_with_a_reason() {
    let server = TestServer::simulated()
        .configuration(configuration("idle_timeout: 2s, turn_timeout: 10s"))
        .start()
        .await;
    let client = server.client().await;
    completed(client.ask(&client.new_conversation().await, "before").await.turn());
    quiet(&server).await;
    let before = descriptors(server.pid());
    let warm = client.new_conversation().await;
    completed(client.ask(&warm, "warm").await.turn());

    let limit = limit_descriptors(server.pid(), Some(descriptors(server.pid()) as u64));
    for _ in 0..3 {
        completed(client.ask(&warm, "still warm").await.turn());
    }
    for _ in 0..3 {
        let conversation = client.new_conversation().await;
        match try_submit(&client, &conversation, "cold").await {
            Ok(turn) => {
                let turn = wait(&client, &turn.id).await;
                assert_eq!(turn.state(), TurnState::Failed, "{turn:?}");
                let failure = turn.failure.unwrap();
                assert!(["SPAWN_FAILED", "TURN_TIMEOUT"].contains(&failure.reason.as_str()), "{failure:?}");
            }
            Err(status) => assert!(!status.message().is_empty(), "{status:?}"),
        }
    }
    // A connection that is not accepted yet is accepted later: who listens goes on.
    let connecting = Client::connect(server.unix(), None);
    let late = async {
        let other = connecting.await;
        other.new_conversation().await
    };
    let restored = async {
        eventually(PATIENCE, "warm turns go on", async || Some(client.ask(&warm, "again").await)).await;
        let _ = limit_descriptors(server.pid(), limit);
    };
    let both = Box::pin(async { tokio::join!(late, restored) });
    let (conversation, ()) = within("a late connection", both).await;
    // Starts that failed one after the other are held back for a while.
    let mut heard = eventually(PATIENCE, "processes are started again", async || {
        match client.send(&conversation, "cold").await {
            Ok(heard) => Some(heard),
            Err(refused) => {
                assert_eq!(reason(&refused), "BACKEND_FAILING", "{refused:?}");
                None
            }
        }
    })
    .await;
    heard.to_end().await;
    completed(heard.turn());
    quiet(&server).await;
    eventually(PATIENCE, "as many descriptors as before", async || {
        (descriptors(server.pid()) <= before).then_some(())
    })
    .await;
}
