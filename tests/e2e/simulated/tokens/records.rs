//! What is kept of a token, what is told of it, and what of neither.

use claude_comms_proto::v1::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest, Token, TokenScope};
use claude_comms_tests::{Client, TestServer};
use tonic::Code;

use super::{create, look, revoke, why, with};
use crate::simulated::support::{bad_input, refused};

async fn list(client: &Client) -> Vec<Token> {
    client.tokens.clone().list_tokens(ListTokensRequest::default()).await.unwrap().into_inner().tokens
}

#[tokio::test]
async fn tokens_outlive_restarts_and_their_use_is_remembered() {
    let mut server = TestServer::simulated().tcp().start().await;
    let (used, unused) =
        (create(&server, "used", TokenScope::Read).await, create(&server, "unused", TokenScope::Admin).await);
    create(&server, "gone", TokenScope::Query).await;
    revoke(&server, "gone").await;
    look(&with(&server, &used).await).await.unwrap();
    let before = list(&server.client().await).await;
    let names: Vec<_> = before.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["default", "gone", "unused", "used"]);
    let was_used: Vec<_> = before.iter().map(|token| token.last_used_time.is_some()).collect();
    assert_eq!(was_used, [false, false, false, true]);
    assert_eq!(server.terminate().await.code, Some(0));
    server.restart().await;
    let after = list(&server.client().await).await;
    assert_eq!(after[1..], before[1..], "but for the built-in one, all is as it was");
    look(&with(&server, &unused).await).await.unwrap();
    assert_eq!(why(look(&with(&server, "gone").await).await).0, Code::Unauthenticated);
}

#[tokio::test]
async fn bad_wishes_are_refused_and_say_why() {
    let server = TestServer::simulated().tcp().start().await;
    let client = server.client().await;
    let wish = |name: &str, scope: i32, seconds: Option<i64>| {
        let lifetime = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
        let request = CreateTokenRequest { name: name.into(), scope, lifetime };
        let mut tokens = client.tokens.clone();
        async move { tokens.create_token(request).await }
    };
    bad_input(wish("", 0, Some(0)).await, &["name", "scope", "lifetime"]);
    bad_input(wish("Bad Name", 9, Some(-1)).await, &["name", "scope", "lifetime"]);
    bad_input(wish("x", 1, Some(11 * 366 * 24 * 3600)).await, &["lifetime"]);
    refused(wish("default", 1, None).await, Code::FailedPrecondition, "TOKEN_BUILT_IN");
    create(&server, "ci", TokenScope::Read).await;
    refused(wish("ci", 1, None).await, Code::AlreadyExists, "TOKEN_NAME_TAKEN");
    let revoke = |name: &str| {
        let (mut tokens, request) = (client.tokens.clone(), RevokeTokenRequest { name: name.into() });
        async move { tokens.revoke_token(request).await }
    };
    refused(revoke("nobody").await, Code::NotFound, "TOKEN_NOT_FOUND");
    refused(revoke("default").await, Code::FailedPrecondition, "TOKEN_BUILT_IN");
    bad_input(revoke("").await, &["name"]);
    let first = revoke("ci").await.unwrap().into_inner();
    assert_eq!(revoke("ci").await.unwrap().into_inner(), first, "revoking again changes nothing");
}

#[tokio::test]
async fn a_list_of_tokens_is_paged() {
    let server = TestServer::simulated().start().await;
    for name in ["a", "b", "c"] {
        create(&server, name, TokenScope::Read).await;
    }
    let client = server.client().await;
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTokensRequest { page_size: 2, page_token };
        let page = client.tokens.clone().list_tokens(request).await.unwrap().into_inner();
        assert!(page.tokens.len() <= 2);
        names.extend(page.tokens.into_iter().map(|token| token.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"], "without TCP there is no built-in one");
}

#[tokio::test]
async fn no_secret_is_kept_or_logged_and_every_refusal_is_logged_by_name() {
    let mut server = TestServer::simulated().tcp().arguments(&["--verbose"]).start().await;
    let secret = create(&server, "ci", TokenScope::Read).await;
    let client = with(&server, &secret).await;
    let narrow = client.tokens.clone().list_tokens(ListTokensRequest::default()).await;
    assert_eq!(why(narrow), (Code::PermissionDenied, "SCOPE_TOO_NARROW".into()));
    revoke(&server, "ci").await;
    let (revoked, wrong) = (look(&client).await, look(&with(&server, "Xyzzy-wrong").await).await);
    assert_eq!(
        revoked.unwrap_err().message(),
        wrong.unwrap_err().message(),
        "they are told apart in the log alone"
    );
    let _ = server.terminate().await;
    let log = server.log();
    for words in [
        "scope_too_narrow",
        "revoked_token",
        "wrong_token",
        "token.name=\"ci\"",
        "127.0.0.1:",
        "/claude_comms.v1.TokenService/ListTokens",
    ] {
        assert!(log.contains(words), "no {words} in:\n{log}");
    }
    for kept in [log.as_bytes(), &std::fs::read(server.data_dir().join("store.redb")).unwrap()] {
        for never in [secret.as_str(), "Xyzzy", &secret[4..36]] {
            assert!(memchr::memmem::find(kept, never.as_bytes()).is_none(), "{never} was kept");
        }
    }
}

#[tokio::test]
async fn many_refusals_do_not_fill_the_log() {
    let server = TestServer::simulated().tcp().start().await;
    let client = with(&server, "wrong").await;
    for _ in 0..500 {
        look(&client).await.unwrap_err();
    }
    let lines = server.log().lines().filter(|line| line.contains("call refused")).count();
    assert!((1..100).contains(&lines), "{lines}");
}
