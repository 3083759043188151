//! Unary calls: what is sent again, what is not, and what a missing server looks like.

use std::time::{Duration, Instant};

use crate::support::{Mishap, Rig};
use claude_comms_client::{Client, Error, v1};
use tonic::Status;

#[tokio::test]
async fn no_server_is_said_at_once_and_by_name() {
    let directory = tempfile::tempdir().expect("tempdir");
    let endpoint = format!("unix:{}", directory.path().join("none.sock").display());
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    for endpoint in [endpoint, format!("http://{unused}")] {
        let client = Client::builder().endpoint(&endpoint).build().expect("client");
        let begun = Instant::now();
        let error = client.server_info().await.expect_err("nobody there");
        assert!(matches!(error, Error::NoServer { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("no server at {endpoint}"));
        let request = v1::SendMessageRequest::default();
        let error = client.send_message(request).await.expect_err("nobody there");
        assert!(matches!(error, Error::NoServer { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn reading_is_repeated_after_a_cut_and_creating_is_not() {
    let rig = Rig::start(&[]);
    rig.state.mishaps.lock().expect("lock").push_back(Mishap::CutAfterTaking);
    rig.client.get_conversation("c").await.expect("repeated");
    assert_eq!(rig.calls("get_conversation"), 2);

    rig.state.mishaps.lock().expect("lock").push_back(Mishap::CutAfterTaking);
    let error = rig.client.create_conversation(Default::default()).await.expect_err("unknown outcome");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert_eq!(rig.calls("create_conversation"), 1);
}

#[tokio::test]
async fn waiting_outlives_cuts() {
    let rig = Rig::start(&[]);
    for _ in 0..3 {
        rig.state.mishaps.lock().expect("lock").push_back(Mishap::CutAfterTaking);
    }
    let turn = rig.client.wait_turn("t").await.expect("turn");
    assert_eq!(turn.text, "done");
    assert_eq!(rig.calls("wait_turn"), 4);
}

#[tokio::test]
async fn the_token_goes_as_bearer_and_never_into_debug_output() {
    let rig = Rig::start(&[]);
    let client = Client::builder()
        .endpoint(rig.client.endpoint().to_string())
        .token("s3cret".to_owned())
        .build()
        .expect("client");
    client.get_conversation("c").await.expect("conversation");
    assert_eq!(rig.state.authorization.lock().expect("lock").as_deref(), Some("Bearer s3cret"));
    assert!(!format!("{client:?}").contains("s3cret"));

    rig.state.mishaps.lock().expect("lock").push_back(Mishap::Refuse(Status::unauthenticated("no token")));
    let error = client.get_conversation("c").await.expect_err("refused");
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
}

#[tokio::test]
async fn a_port_of_something_else_is_told_from_a_broken_connection() {
    for greeting in ["SSH-2.0-OpenSSH_9.0\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let client = Client::builder().endpoint(endpoint).token("t").build().expect("client");
        let other = async {
            let mut open = Vec::new();
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::io::AsyncWriteExt::write_all(&mut connection, greeting.as_bytes())
                    .await
                    .expect("greet");
                open.push(connection);
            }
        };
        let error = tokio::select! {
            result = client.server_info() => result.expect_err("no server"),
            () = other => panic!("the listener ended"),
        };
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert_eq!(error.reason(), Some("NOT_GRPC"), "{greeting}: {error:?}");
    }
}
