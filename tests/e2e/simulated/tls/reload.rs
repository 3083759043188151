//! Certificates that change while the server runs.

use std::fs;

use claude_comms_tests::{PATIENCE, eventually, tls::Authority, tls::connect};

use super::{client, endpoint, serving};
use crate::simulated::support::{HANG_ON_REQUEST, cancel, submit_running};

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections_and_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let builder = serving(&old.server(), None);
    let scenario = builder.world().root().join("scenario.yaml");
    fs::write(&scenario, HANG_ON_REQUEST).unwrap();
    let server = builder.scenario(&scenario).start().await;
    let before = client(&server, &old, None).await;
    let mut running = submit_running(&before, &before.new_conversation().await, "hang").await;

    new.server().write(server.world().root(), "server");
    eventually(PATIENCE, "the new certificate", async || {
        connect(&endpoint(&server), &new.pem, None).await.ok()
    })
    .await;
    connect(&endpoint(&server), &old.pem, None).await.expect_err("the old one is served no more");
    assert!(server.log().contains("certificate read again"), "{}", server.log());
    cancel(&before, running.turn_id()).await;
    running.to_end().await;
    before.new_conversation().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_warned_of_once() {
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    let root = server.world().root().to_owned();
    let good = fs::read(root.join("server.pem")).unwrap();
    let works =
        async || connect(&endpoint(&server), &authority.pem, None).await.expect("the old one is served");
    let warned = |words: &'static str| {
        let (server, works) = (&server, &works);
        async move {
            eventually(PATIENCE, words, async || {
                works().await;
                server.log().contains(words).then_some(())
            })
            .await;
        }
    };
    fs::write(root.join("server.pem"), "nothing").unwrap();
    warned("holds no certificate").await;
    // Of another key.
    fs::write(root.join("server.pem"), &authority.server().cert).unwrap();
    warned("cannot be used together").await;
    fs::remove_file(root.join("server.pem")).unwrap();
    warned("cannot be read").await;
    for _ in 0..20 {
        works().await;
    }
    assert_eq!(server.log().matches("cannot be read").count(), 1, "{}", server.log());
    fs::write(root.join("server.pem"), &good).unwrap();
    eventually(PATIENCE, "the good one again", async || {
        works().await;
        server.log().contains("certificate read again").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_authority_of_clients_can_change_too() {
    let (authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let server = serving(&authority.server(), Some(&first)).start().await;
    let (of_first, of_second) = (first.server(), second.server());
    let takes = async |pair| {
        let channel = connect(&endpoint(&server), &authority.pem, Some(pair)).await.ok()?;
        // In TLS 1.3 the judgement comes with the first answer.
        let mut health = claude_comms_tests::Client::over(channel, None).health;
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.ok()
    };
    assert!(takes(&of_first).await.is_some() && takes(&of_second).await.is_none());
    fs::write(server.world().root().join("client_ca.pem"), &second.pem).unwrap();
    eventually(PATIENCE, "the second authority", async || takes(&of_second).await).await;
    assert!(takes(&of_first).await.is_none());
}
