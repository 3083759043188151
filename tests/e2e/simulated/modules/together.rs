//! Clients that register one module at the same time.

use std::time::Duration;

use claude_comms_tests::{PATIENCE, TestServer, eventually};
use serde_json::Value;

use super::support::{module, register, revision, try_register, with_role};

const ROUNDS: usize = 20;

fn role(module: &claude_comms_proto::v1::Module) -> String {
    let descriptor: Value = serde_json::from_str(&module.descriptor_json).unwrap();
    descriptor["context"]["role"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_clients_that_register_one_module_at_once_both_succeed_one_after_the_other() {
    let server = TestServer::simulated().start().await;
    let (one, other) = (server.client().await, server.client().await);
    for round in 0..ROUNDS {
        let name = format!("m{round}");
        let descriptors = ["one", "other"].map(|role| with_role(&name, "1.0.0", role));
        let (first, second) =
            tokio::join!(register(&one, &descriptors[0]), register(&other, &descriptors[1]));
        let mut revisions = [first.revision, second.revision];
        assert_eq!(
            (role(&first).as_str(), role(&second).as_str()),
            ("one", "other"),
            "each is told of its own"
        );
        let now = module(&one, &name).await.unwrap();
        let last = if first.revision == 2 { &first } else { &second };
        revisions.sort_unstable();
        assert_eq!(revisions, [1, 2], "round {round}");
        assert_eq!((now.revision, &now.digest), (2, &last.digest));
        for told in [&first, &second] {
            assert_eq!(revision(&other, &name, "1.0.0", told.revision).await.unwrap().digest, told.digest);
        }
    }
}

#[tokio::test]
async fn of_a_higher_and_a_lower_version_at_once_the_higher_one_counts() {
    let server = TestServer::simulated().start().await;
    let (one, other) = (server.client().await, server.client().await);
    for round in 0..ROUNDS {
        let name = format!("m{round}");
        let (low, high) = (with_role(&name, "1.0.0", "low"), with_role(&name, "2.0.0", "high"));
        let (low, high) = tokio::join!(try_register(&one, &low), try_register(&other, &high));
        let high = high.expect("nothing is above it");
        let now = module(&one, &name).await.unwrap();
        assert_eq!((now.version.as_str(), &now.digest), ("2.0.0", &high.digest));
        match low {
            Ok(low) => assert_eq!(revision(&one, &name, "1.0.0", 1).await.unwrap().digest, low.digest),
            Err(status) => {
                assert_eq!(claude_comms_tests::client::reason(&status), "MODULE_VERSION_LOWER", "{status:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_caller_who_leaves_parts_neither_store_nor_registry() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &with_role("left", "0.9.0", "first")).await;
    for round in 0..ROUNDS {
        let descriptor = with_role("left", &format!("1.0.{round}"), "next");
        let patience = Duration::from_millis(u64::try_from(round).unwrap() % 7);
        // Whether it was taken in by then is for the server to know; it must know it in one way.
        let _ = tokio::time::timeout(patience, try_register(&client, &descriptor)).await;
        eventually(PATIENCE, "the registry serves what the store has", async || {
            let served = module(&client, "left").await.ok()?;
            let current = served.revisions.iter().find(|revision| revision.current)?;
            (current.digest == served.digest).then_some(())
        })
        .await;
    }
}
