//! `/metrics` is there when it is asked for, for this machine alone, and gives nothing else.

use claude_comms_tests::{PATIENCE, TestServer, eventually, within};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

/// Sends these bytes and returns all that comes back.
async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that is cut in the middle of what it sends may end with a reset.
    let _ = within("the end of an answer", stream.read_to_string(&mut answer)).await;
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn socket(server: &TestServer) -> std::path::PathBuf {
    server.world().root().join("metrics.sock")
}

async fn on_a_socket() -> TestServer {
    let builder = TestServer::simulated();
    let path = builder.world().root().join("metrics.sock");
    builder
        .configuration(format!("telemetry: {{ metrics_listen: 'unix:{}' }}\n", path.display()))
        .start()
        .await
}

#[tokio::test]
async fn metrics_over_a_unix_socket_are_their_owners_and_nothing_else_is_there() {
    let mut server = on_a_socket().await;
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(socket(&server)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let ask =
        async |request: String| exchange(UnixStream::connect(socket(&server)).await.unwrap(), &request).await;
    let answer = ask(get("/metrics")).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("claude_comms_turns_accepted_total 0\n"),
        "{answer}"
    );
    assert!(ask(get("/")).await.starts_with("HTTP/1.1 404 "));
    assert!(ask(get("/metrics/..")).await.starts_with("HTTP/1.1 404 "));
    let refused = ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".into()).await;
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.to_lowercase().contains("allow: get"),
        "{refused}"
    );
    let huge = ask(format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000))).await;
    assert!(!huge.contains(" 200 "), "{huge}");
    // It still answers, and goes with the server.
    assert!(ask(get("/metrics")).await.starts_with("HTTP/1.1 200 "));
    let path = socket(&server);
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(!path.exists(), "the socket is removed");
}

#[tokio::test]
async fn silent_connections_do_not_keep_scrapes_out_for_long() {
    let server = on_a_socket().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(socket(&server)).await.unwrap());
    }
    let request = get("/metrics");
    let scraped = exchange(UnixStream::connect(socket(&server)).await.unwrap(), &request);
    let answer = tokio::time::timeout(PATIENCE, scraped).await.expect("silent ones are cut");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn metrics_are_off_by_default_and_refused_beyond_this_machine() {
    let server = TestServer::simulated().start().await;
    assert!(!server.log().contains("metrics are served"), "{}", server.log());
    let (refused, _) = TestServer::simulated()
        .configuration("telemetry: { metrics_listen: 'http://0.0.0.0:9464' }\n")
        .try_start()
        .await
        .unwrap_err();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("telemetry.metrics_listen"), "{refused:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_keeps_the_server_from_starting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let (refused, _) = TestServer::simulated()
        .configuration(format!("telemetry: {{ metrics_listen: 'http://{address}' }}\n"))
        .try_start()
        .await
        .unwrap_err();
    assert!(refused.code == Some(1) && refused.stderr.contains(&address.to_string()), "{refused:?}");
    drop(taken);
    let server = TestServer::simulated()
        .configuration(format!("telemetry: {{ metrics_listen: 'http://{address}' }}\n"))
        .start()
        .await;
    let answer = eventually(PATIENCE, "an answer", async || TcpStream::connect(address).await.ok()).await;
    assert!(exchange(answer, &get("/metrics")).await.starts_with("HTTP/1.1 200 "));
    drop(server);
}

#[tokio::test]
async fn an_endpoint_for_traces_is_refused_by_a_build_that_cannot_send_them() {
    let (refused, _) = TestServer::simulated()
        .configuration("telemetry: { otlp_endpoint: 'http://127.0.0.1:4317' }\n")
        .try_start()
        .await
        .unwrap_err();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--features otlp"), "{refused:?}");
}
