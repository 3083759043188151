//! Connections of a TLS endpoint: accepted, led through their handshakes side by side, and handed on in the order in which
//! they are done. A handshake that fails or dawdles holds nobody up.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Certificates, plain};
use crate::auth::{Refusal, Refusals};

/// Longest time of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most handshakes at once; further connections wait in the listener's queue.
const HANDSHAKES: usize = 512;
/// After the system refused a connection, which it does while descriptors are short.
const BREATHER: Duration = Duration::from_millis(100);

/// Connections whose handshakes are done.
pub(crate) type Connections = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// The connections of a listener, from a task that ends with `closed`.
pub(crate) fn serve(
    listener: TcpListener,
    certificates: Certificates,
    refusals: Refusals,
    tracker: &TaskTracker,
    closed: CancellationToken,
) -> Connections {
    let (done, connections) = mpsc::channel(16);
    tracker.spawn(async move {
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                accepted = listener.accept(), if handshakes.len() < HANDSHAKES => match accepted {
                    Ok((stream, peer)) => {
                        let (certificates, refusals, done) = (certificates.clone(), refusals.clone(), done.clone());
                        handshakes.spawn(async move {
                            if let Some(stream) = handshake(stream, peer, &certificates, &refusals).await {
                                // Nobody takes it: the server has ended.
                                let _ = done.send(Ok(stream)).await;
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(BREATHER).await;
                    }
                },
                Some(_) = handshakes.join_next() => {}
            }
        }
    });
    ReceiverStream::new(connections)
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    certificates: &Certificates,
    refusals: &Refusals,
) -> Option<TlsStream<TcpStream>> {
    // Without it a small answer waits 44 ms for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let refused = |detail: &dyn std::fmt::Display| {
        refusals.note(Refusal::TlsHandshake, &peer, "", None, Some(detail));
    };
    let attempt = async {
        if !plain::is_tls(&stream).await.unwrap_or(true) {
            refusals.note(Refusal::PlainText, &peer, "", None, None);
            // The caller may be gone already.
            let _ = plain::send_away(stream).await;
            return None;
        }
        match TlsAcceptor::from(certificates.current()).accept(stream).into_fallible().await {
            Ok(stream) => Some(stream),
            Err((error, stream)) => {
                refused(&error);
                let _ = plain::linger(stream).await;
                None
            }
        }
    };
    match tokio::time::timeout(HANDSHAKE, attempt).await {
        Ok(done) => done,
        Err(_) => {
            refused(&"it took too long");
            None
        }
    }
}
