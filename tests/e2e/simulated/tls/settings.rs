//! Servers that cannot or must not start as they are told.

use std::{fs, os::unix::fs::PermissionsExt as _};

use claude_comms_tests::{Ran, TestServer, server::Builder, tls::Authority};

use super::serving;

async fn refused(builder: Builder, code: i32, words: &[&str]) -> Ran {
    let (ran, _world) = builder.try_start().await.expect_err("it must not start");
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in:\n{}", ran.stderr);
    }
    ran
}

#[tokio::test]
async fn beyond_loopback_needs_tls_and_tokens_and_tls_needs_its_files() {
    for listen in ["http://0.0.0.0:0", "http://[::]:0", "http://192.0.2.1:80"] {
        refused(TestServer::simulated().listen(listen), 2, &[listen, "https://", "tls.cert"]).await;
    }
    refused(
        TestServer::simulated().listen("https://127.0.0.1:0"),
        2,
        &["https://127.0.0.1:0", "tls.cert", "tls.key"],
    )
    .await;
    let open = Authority::new().server();
    let builder = TestServer::simulated();
    let (cert, key) = open.write(builder.world().root(), "server");
    let yaml = format!("auth: {{mode: none}}\ntls: {{cert: {}, key: {}}}\n", cert.display(), key.display());
    let beyond = builder.configuration(yaml).listen("https://0.0.0.0:0");
    refused(beyond, 2, &["auth.mode", "loopback"]).await;
}

#[tokio::test]
async fn beyond_loopback_with_tls_the_server_starts() {
    let authority = Authority::new();
    let builder = TestServer::simulated();
    let (cert, key) = authority.server().write(builder.world().root(), "server");
    let yaml = format!("tls: {{cert: {}, key: {}}}\n", cert.display(), key.display());
    let server = builder.configuration(yaml).listen("https://0.0.0.0:0").start().await;
    let endpoint =
        server.endpoints().iter().find(|endpoint| endpoint.starts_with("https://0.0.0.0:")).unwrap();
    let reachable = endpoint.replace("0.0.0.0", "127.0.0.1");
    let channel = claude_comms_tests::tls::connect(&reachable, &authority.pem, None).await.unwrap();
    claude_comms_tests::Client::over(channel, Some(&server.token())).new_conversation().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (one, other) = (authority.server(), authority.server());
    let mixed = claude_comms_tests::tls::Pair { cert: one.cert.clone(), key: other.key };
    refused(serving(&mixed, None), 1, &["tls.cert", "tls.key", "together"]).await;
    let nothing = claude_comms_tests::tls::Pair { cert: "nothing".into(), key: one.key.clone() };
    refused(serving(&nothing, None), 1, &["tls.cert", "no certificate"]).await;
    let swapped = claude_comms_tests::tls::Pair { cert: one.cert.clone(), key: one.cert.clone() };
    refused(serving(&swapped, None), 1, &["tls.key", "no private key"]).await;
    let open = serving(&one, None);
    let key = open.world().root().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = refused(open, 1, &["tls.key", "chmod 600"]).await;
    assert!(!ran.stderr.contains("PRIVATE KEY"), "{}", ran.stderr);
    let missing = serving(&one, None);
    fs::remove_file(missing.world().root().join("server.pem")).unwrap();
    refused(missing, 1, &["tls.cert", "server.pem", "No such file"]).await;
    let clients = serving(&one, Some(&authority));
    fs::write(clients.world().root().join("client_ca.pem"), "nothing").unwrap();
    refused(clients, 1, &["tls.client_ca", "no certificate"]).await;
}

#[tokio::test]
async fn the_server_takes_no_notice_of_the_clients_tls_variables() {
    let authority = Authority::new();
    let mut builder = serving(&authority.server(), None);
    for name in ["CLAUDE_COMMS_TLS_CA", "CLAUDE_COMMS_TLS_CERT", "CLAUDE_COMMS_TLS_KEY"] {
        builder = builder.environment(name, "/nonexistent");
    }
    let server = builder.start().await;
    super::client(&server, &authority, None).await.new_conversation().await;
}
