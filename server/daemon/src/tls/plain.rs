//! Callers that speak no TLS where TLS is spoken: they are told so in their own language and sent away.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The first byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;
/// What reads a refusal may need to read it; then the connection is closed whatever comes.
const LINGER: Duration = Duration::from_secs(1);
const WORDS: &str = "this endpoint speaks TLS; use https://";

/// Whether what comes is a TLS handshake. Takes nothing of it.
pub(super) async fn is_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    // Nothing at all is a connection that was closed at once; the handshake will say so.
    Ok(stream.peek(&mut first).await? == 0 || first[0] == HANDSHAKE)
}

/// Says that TLS is spoken here: to HTTP/2 by a GOAWAY, to HTTP/1 by a response, else by nothing.
pub(super) async fn send_away(mut stream: TcpStream) -> io::Result<()> {
    let mut first = [0; 3];
    let length = stream.peek(&mut first).await?;
    let answer = match &first[..length] {
        b"PRI" => goaway(),
        other if other.iter().all(u8::is_ascii_uppercase) => format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{WORDS}\n",
            WORDS.len() + 1
        )
        .into_bytes(),
        _ => Vec::new(),
    };
    stream.write_all(&answer).await?;
    linger(stream).await
}

/// Ends a connection so that its last words arrive: what the other side still sends is read, or its end would be a reset
/// that throws them away.
pub(super) async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let read_all = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    // The caller's own affair if it goes on talking.
    let _ = tokio::time::timeout(LINGER, read_all).await;
    Ok(())
}

/// Empty SETTINGS, then GOAWAY before any stream with INADEQUATE_SECURITY (RFC 9113, 6.5, 6.8 and 7).
fn goaway() -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const INADEQUATE_SECURITY: u8 = 12;
    let length = u8::try_from(8 + WORDS.len()).expect("a short sentence");
    let mut frames = SETTINGS.to_vec();
    frames.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    frames.extend([0, 0, 0, 0, 0, 0, 0, INADEQUATE_SECURITY]);
    frames.extend(WORDS.as_bytes());
    frames
}
