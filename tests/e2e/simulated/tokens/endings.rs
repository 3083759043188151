//! A token that ends while calls are under way: they end too, and turns that were accepted go on.

use claude_comms_proto::v1::{TokenScope, WaitTurnRequest};
use claude_comms_tests::{client::reason, eventually, within};
use tonic::{Code, Status};

use super::{create, create_for, look, revoke, why, with};
use crate::simulated::support::{HANG_ON_REQUEST, get, playing_turns, submit_running};

#[tokio::test]
async fn revoking_ends_open_streams_and_waits_and_no_turn() {
    let server = playing_turns(HANG_ON_REQUEST).tcp().start().await;
    let client = with(&server, &create(&server, "app", TokenScope::Query).await).await;
    let conversation = client.new_conversation().await;
    let mut running = submit_running(&client, &conversation, "hang").await;
    let turn = running.turn_id().to_owned();
    let waiting = client.conversations.clone();
    let request = WaitTurnRequest { id: turn.clone() };
    let (waited, streamed, ()) = tokio::join!(
        async {
            let mut waiting = waiting;
            within("the wait's end", waiting.wait_turn(request)).await
        },
        within("the stream's end", running.failure()),
        revoke(&server, "app"),
    );
    for status in [waited.unwrap_err(), streamed] {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "TOKEN_REQUIRED"),
            "{status:?}"
        );
    }
    assert_eq!(why(look(&client).await), (Code::Unauthenticated, "TOKEN_REQUIRED".into()));
    let owner = server.client().await;
    assert_eq!(get(&owner, &turn).await.state(), claude_comms_proto::v1::TurnState::Running);
    let log = server.log();
    assert!(
        log.contains("revoked_token") && log.contains("app") && log.contains("while the call was under way"),
        "{log}"
    );
}

#[tokio::test]
async fn expiring_ends_open_streams_and_other_tokens_go_on() {
    let server = playing_turns(HANG_ON_REQUEST).tcp().start().await;
    let other = with(&server, &create_for(&server, "other", TokenScope::Query, Some(3_600_000)).await).await;
    let conversation = other.new_conversation().await;
    let mut running = submit_running(&other, &conversation, "hang").await;
    let client = with(&server, &create_for(&server, "brief", TokenScope::Query, Some(3000)).await).await;
    let request = claude_comms_proto::v1::WatchTurnRequest {
        turn_id: running.turn_id().to_owned(),
        ..Default::default()
    };
    let stream = client.conversations.clone().watch_turn(request).await.unwrap().into_inner();
    let status: Status =
        within("the stream's end", claude_comms_tests::client::Heard::new(stream).failure()).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unauthenticated, "TOKEN_EXPIRED"),
        "{status:?}"
    );
    look(&other).await.expect("the other token is good");
    super::super::support::cancel(&other, running.turn_id()).await;
    running.to_end().await;
}

#[tokio::test]
async fn a_name_may_be_used_again_and_the_old_secret_stays_dead() {
    let server = claude_comms_tests::TestServer::simulated().tcp().start().await;
    let first = create(&server, "ci", TokenScope::Read).await;
    revoke(&server, "ci").await;
    let second = create(&server, "ci", TokenScope::Read).await;
    assert_ne!(first, second);
    look(&with(&server, &second).await).await.expect("the new one is good");
    assert_eq!(
        why(look(&with(&server, &first).await).await),
        (Code::Unauthenticated, "TOKEN_REQUIRED".into())
    );
    let brief = create_for(&server, "brief", TokenScope::Read, Some(1)).await;
    let client = with(&server, &brief).await;
    eventually(claude_comms_tests::PATIENCE, "it expires", async || look(&client).await.err()).await;
    let anew = create(&server, "brief", TokenScope::Read).await;
    look(&with(&server, &anew).await).await.expect("an expired name is free");
    assert_eq!(why(look(&client).await), (Code::Unauthenticated, "TOKEN_REQUIRED".into()));
}
