//! `token create`, `list` and `revoke`.

use claude_comms_tests::{Ran, TestServer, eventually};

/// The command line over TCP with this token alone.
async fn over_tcp(server: &TestServer, token: &str, arguments: &[&str]) -> Ran {
    let mut command = server.cli_command(arguments);
    command.env("CLAUDE_COMMS_SERVER", server.tcp()).env("CLAUDE_COMMS_TOKEN", token);
    Ran::to_end(command).await
}

#[tokio::test]
async fn a_token_is_made_used_listed_and_revoked() {
    let server = TestServer::simulated().tcp().start().await;
    let made = server.cli(&["token", "create", "ci", "--scope", "query", "--expires", "30d"]).await.expect(0);
    let secret = made.stdout.trim();
    assert!(
        secret.starts_with("cct_") && secret.len() == 68 && made.stdout.lines().count() == 1,
        "{made:#?}"
    );
    assert!(made.stderr.contains("ci") && made.stderr.contains("query") && made.stderr.contains("this once"));
    assert!(!made.stderr.contains(secret), "standard error goes to logs");
    let _ = over_tcp(&server, secret, &["status"]).await.expect(0);
    let _ = over_tcp(&server, secret, &["create-conversation"]).await.expect(0);
    let narrow = over_tcp(&server, secret, &["start-instance"]).await.expect(6);
    assert!(
        narrow.stderr.contains("SCOPE_TOO_NARROW") && narrow.stderr.contains("--scope admin"),
        "{narrow:#?}"
    );
    let listed = server.cli(&["token", "list"]).await.expect(0).stdout;
    let row = listed.lines().find(|line| line.starts_with("ci ")).expect("a row");
    assert!(row.contains("query") && row.contains("good") && !listed.contains("cct_"), "{listed}");
    let revoked = server.cli(&["token", "revoke", "ci"]).await.expect(0).stdout;
    assert!(revoked.contains("revoked"), "{revoked}");
    let refused = over_tcp(&server, secret, &["status"]).await.expect(6);
    assert!(refused.stderr.contains("TOKEN_REQUIRED") && !refused.stderr.contains(secret), "{refused:#?}");
}

#[tokio::test]
async fn tokens_are_json_for_programs() {
    let server = TestServer::simulated().start().await;
    let made =
        server.cli(&["token", "create", "a", "--scope", "read", "--output", "json"]).await.expect(0).json();
    assert_eq!(
        (&made["token"]["name"], &made["token"]["scope"]),
        (&"a".into(), &"TOKEN_SCOPE_READ".into()),
        "{made}"
    );
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("cct_")), "{made}");
    let list = server.cli(&["token", "list", "--output", "json"]).await.expect(0).json();
    assert_eq!(list["tokens"].as_array().map(Vec::len), Some(1), "{list}");
    assert!(list["tokens"][0]["expireTime"].is_null() && list["nextPageToken"] == "", "{list}");
}

#[tokio::test]
async fn an_expired_token_is_told_so() {
    let server = TestServer::simulated().tcp().start().await;
    let made =
        server.cli(&["token", "create", "brief", "--scope", "read", "--expires", "1ms"]).await.expect(0);
    let ran = eventually(claude_comms_tests::PATIENCE, "it expires", async || {
        Some(over_tcp(&server, made.stdout.trim(), &["status"]).await).filter(|ran| ran.code != Some(0))
    })
    .await
    .expect(6);
    assert!(ran.stderr.contains("TOKEN_EXPIRED"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_is_typed_wrong_is_usage_and_what_is_not_there_is_not_found() {
    let server = TestServer::simulated().start().await;
    for (arguments, code, words) in [
        (&["token", "create", "ci"][..], 2, "--scope"),
        (&["token", "create", "ci", "--scope", "all"], 2, "read, query, admin"),
        (&["token", "create", "ci", "--scope", "read", "--expires", "30"], 2, "30d"),
        (&["token", "create", "ci", "--scope", "read", "--expires", "0s"], 2, "30d"),
        (&["token", "create", "ci", "--scope", "read", "--expires", "99y"], 2, "ten years"),
        (&["token", "create", "C I", "--scope", "read"], 2, "name"),
        (&["token", "create", "default", "--scope", "read"], 1, "TOKEN_BUILT_IN"),
        (&["token", "revoke", "nobody"], 4, "TOKEN_NOT_FOUND"),
        (&["token"], 2, "create"),
    ] {
        let ran = server.cli(arguments).await.expect(code);
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{arguments:?}: {ran:#?}");
    }
}
