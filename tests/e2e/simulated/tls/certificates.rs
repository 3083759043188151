//! Certificates of servers and of clients.

use claude_comms_proto::v1::{CreateConversationRequest, GetServerInfoRequest, TokenScope};
use claude_comms_tests::{Client, Ran, client::reason, tls::Authority};
use tonic::Code;

use super::{ca_file, client, endpoint, logged, serving, status};
use crate::simulated::tokens::create;

#[tokio::test]
async fn an_answer_streams_over_tls_and_the_token_decides() {
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    let owner = client(&server, &authority, None).await;
    let heard = owner.ask(&owner.new_conversation().await, "hello").await;
    assert!(heard.text.contains("[simulated]"), "{heard:?}");
    let channel = claude_comms_tests::tls::connect(&endpoint(&server), &authority.pem, None).await.unwrap();
    let info = |client: &Client| {
        let mut calls = client.diagnostics.clone();
        async move { calls.get_server_info(GetServerInfoRequest {}).await }
    };
    let refused = info(&Client::over(channel.clone(), None)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "TOKEN_REQUIRED"));
    let read = Client::over(channel, Some(&create(&server, "read", TokenScope::Read).await));
    info(&read).await.expect("reading is allowed");
    let refused = read
        .conversations
        .clone()
        .create_conversation(CreateConversationRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "SCOPE_TOO_NARROW");
    // Refusals name the peer.
    logged(&server, "127.0.0.1:").await;
}

#[tokio::test]
async fn the_command_line_trusts_the_authority_it_is_given_and_no_other() {
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    let ca = ca_file(&server, &authority).to_string_lossy().into_owned();
    let _ = status(&server, &["--tls-ca", &ca]).await.expect(0);
    let mut command = server.cli_command(&["status"]);
    command.env("CLAUDE_COMMS_SERVER", endpoint(&server).replace("127.0.0.1", "localhost"));
    command.env("CLAUDE_COMMS_TLS_CA", &ca);
    let _ = Ran::to_end(command).await.expect(0);

    let other = server.world().root().join("other.pem");
    std::fs::write(&other, &Authority::new().pem).unwrap();
    let ran = status(&server, &["--tls-ca", &other.to_string_lossy()]).await.expect(3);
    for words in ["TLS_UNTRUSTED", "not trusted", "--tls-ca"] {
        assert!(ran.stderr.contains(words), "no {words}: {}", ran.stderr);
    }
    logged(&server, "tls_handshake").await;
    for (file, words) in [("/nonexistent/ca.pem", "/nonexistent/ca.pem"), ("/dev/null", "no certificate")] {
        let ran = status(&server, &["--tls-ca", file]).await.expect(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn an_expired_certificate_or_one_of_another_name_is_not_trusted() {
    let authority = Authority::new();
    for (pair, words) in [(authority.expired(), "expired"), (authority.server_elsewhere(), "another name")] {
        let server = serving(&pair, None).start().await;
        let ca = ca_file(&server, &authority);
        let ran = status(&server, &["--tls-ca", &ca.to_string_lossy()]).await.expect(3);
        assert!(ran.stderr.contains("TLS_UNTRUSTED") && ran.stderr.contains(words), "{}", ran.stderr);
        let refused = claude_comms_tests::tls::connect(&endpoint(&server), &authority.pem, None).await;
        refused.expect_err("nor by anybody else");
    }
}

#[tokio::test]
async fn with_an_authority_of_clients_a_good_certificate_and_a_token_are_needed() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = serving(&authority.server(), Some(&clients)).start().await;
    let ca = ca_file(&server, &authority).to_string_lossy().into_owned();
    let root = server.world().root().to_owned();
    let with = async |pair: &claude_comms_tests::tls::Pair, name: &str, more: &[&str]| {
        let (cert, key) = pair.write(&root, name);
        let (cert, key) = (cert.to_string_lossy().into_owned(), key.to_string_lossy().into_owned());
        status(&server, &[&["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key], more].concat()).await
    };
    let good = clients.server();
    let _ = with(&good, "good", &[]).await.expect(0);
    let wrong_token = root.join("wrong.token");
    std::fs::write(&wrong_token, "wrong").unwrap();
    let ran = with(&good, "good", &["--token-file", &wrong_token.to_string_lossy()]).await.expect(6);
    assert!(ran.stderr.contains("TOKEN_REQUIRED"), "{}", ran.stderr);

    let ran = status(&server, &["--tls-ca", &ca]).await.expect(6);
    assert!(
        ran.stderr.contains("TLS_CERTIFICATE_REQUIRED") && ran.stderr.contains("--tls-cert"),
        "{}",
        ran.stderr
    );
    for (name, pair) in [("other", authority.server()), ("expired", clients.expired())] {
        let ran = with(&pair, name, &[]).await.expect(6);
        assert!(ran.stderr.contains("TLS_CERTIFICATE_REFUSED"), "{name}: {}", ran.stderr);
    }
    let half = status(&server, &["--tls-ca", &ca, "--tls-cert", &ca]).await.expect(2);
    assert!(half.stderr.contains("--tls-key"), "{}", half.stderr);

    let over_tls = client(&server, &authority, Some(&good)).await;
    let heard = over_tls.ask(&over_tls.new_conversation().await, "hello").await;
    assert!(heard.text.contains("[simulated]"));
    let mut variables = server.cli_command(&["status"]);
    variables.env("CLAUDE_COMMS_SERVER", endpoint(&server)).env("CLAUDE_COMMS_TLS_CA", &ca);
    variables
        .env("CLAUDE_COMMS_TLS_CERT", root.join("good.pem"))
        .env("CLAUDE_COMMS_TLS_KEY", root.join("good.key"));
    let _ = Ran::to_end(variables).await.expect(0);
}
