//! Those who speak no TLS, an old TLS, or TLS where there is none: each is told so and sent away.

use std::time::Duration;

use claude_comms_tests::{Ran, TestServer, tls::Authority, within};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{ca_file, client, endpoint, logged, serving};

/// Sends bytes and returns all that is answered up to the end of the connection.
async fn say(server: &TestServer, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(endpoint(server).trim_start_matches("https://")).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    within("the end of the connection", stream.read_to_end(&mut answer)).await.expect("no reset");
    answer
}

/// A ClientHello that offers at most this version, with suites that both could speak.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let suites = [0xc0, 0x09, 0xc0, 0x13, 0xc0, 0x2b, 0xc0, 0x2f, 0x00, 0x2f];
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, u8::try_from(suites.len()).unwrap()]);
    body.extend(suites);
    body.extend([1, 0]);
    // supported_groups: P-256; ec_point_formats: uncompressed; signature_algorithms: ecdsa_secp256r1_sha256.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    message.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
    record.extend(message);
    record
}

#[tokio::test]
async fn older_protocols_are_refused_with_an_alert() {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    const PROTOCOL_VERSION: u8 = 70;
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let answer = say(&server, &hello(version)).await;
        assert_eq!(answer.first(), Some(&ALERT), "{version:?}: {answer:?}");
        assert_eq!(answer[5..7], [FATAL, PROTOCOL_VERSION], "{version:?}: {answer:?}");
    }
    // The same with TLS 1.2 is answered: what was refused above is the version.
    let mut stream = TcpStream::connect(endpoint(&server).trim_start_matches("https://")).await.unwrap();
    stream.write_all(&hello([3, 3])).await.unwrap();
    let mut answer = [0; 6];
    within("a ServerHello", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2), "{answer:?}");
    drop(stream);
    client(&server, &authority, None).await.new_conversation().await;
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_told_to_speak_tls() {
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    let http2 = say(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_eq!(http2[3], 4, "SETTINGS come first: {http2:?}");
    assert_eq!(
        (http2[12], &http2[22..26]),
        (7, &[0, 0, 0, 12][..]),
        "then GOAWAY, INADEQUATE_SECURITY: {http2:?}"
    );
    let http1 = say(&server, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(String::from_utf8_lossy(&http1).starts_with("HTTP/1.1 400"), "{http1:?}");
    for garbage in [&b"\0\0\0\0"[..], b"\xff\xfe", b"\x16garbage that is no handshake"] {
        let answer = say(&server, garbage).await;
        assert!(answer.is_empty() || answer[0] == 21, "nothing, or an alert: {answer:?}");
    }
    let plain = endpoint(&server).replace("https://", "http://");
    let mut command = server.cli_command(&["status"]);
    command.env("CLAUDE_COMMS_SERVER", &plain);
    let ran = Ran::to_end(command).await.expect(3);
    assert!(ran.stderr.contains("TLS_REQUIRED") && ran.stderr.contains("https://"), "{}", ran.stderr);
    logged(&server, "plain_text").await;
    client(&server, &authority, None).await.new_conversation().await;
}

#[tokio::test]
async fn tls_on_a_plain_port_says_so() {
    let authority = Authority::new();
    let server = TestServer::simulated().tcp().start().await;
    let ca = ca_file(&server, &authority);
    let mut command = server.cli_command(&["status", "--tls-ca", &ca.to_string_lossy()]);
    command.env("CLAUDE_COMMS_SERVER", server.tcp().replace("http://", "https://"));
    let ran = Ran::to_end(command).await.expect(3);
    assert!(ran.stderr.contains("TLS_NOT_SPOKEN") && ran.stderr.contains("http://"), "{}", ran.stderr);
}

#[tokio::test]
async fn handshakes_that_dawdle_hold_nobody_up() {
    let authority = Authority::new();
    let server = serving(&authority.server(), None).start().await;
    let address = endpoint(&server).trim_start_matches("https://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let soon = Duration::from_secs(8);
    let served = tokio::time::timeout(soon, client(&server, &authority, None)).await;
    served.expect("before the silent ones are given up").new_conversation().await;
    drop(silent);
}
