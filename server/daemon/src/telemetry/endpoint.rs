//! `GET /metrics` for Prometheus: Prometheus' text format over HTTP/1.1, on loopback or a Unix socket, and nothing else.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, TEXT_FORMAT, TextEncoder};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Observed;
use crate::listen::Bound;

/// Connections at once; more of them wait in the listener's queue.
const CONNECTIONS: usize = 16;
/// How long one may take, from its acceptance to its last byte.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Longest request, bytes.
const REQUEST_BYTES: usize = 16 << 10;
/// Pause after a listener failed, as it does without descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Answers scrapes until `ending`.
pub(crate) fn serve(
    bound: Bound,
    endpoint: &str,
    observed: Observed,
    tracker: &TaskTracker,
    ending: CancellationToken,
) {
    tracing::info!(endpoint, "metrics are served");
    let scrapes = Scrapes {
        observed,
        tracker: tracker.clone(),
        ending: ending.clone(),
        free: Arc::new(Semaphore::new(CONNECTIONS)),
    };
    tracker.spawn(async move {
        ending.run_until_cancelled(scrapes.accept(bound)).await;
    });
}

struct Scrapes {
    observed: Observed,
    tracker: TaskTracker,
    ending: CancellationToken,
    free: Arc<Semaphore>,
}

impl Scrapes {
    async fn accept(self, bound: Bound) {
        loop {
            let Ok(place) = Arc::clone(&self.free).acquire_owned().await else { return };
            let accepted = match &bound {
                Bound::Unix(listener, _socket) => {
                    listener.accept().await.map(|(stream, _)| self.answer(stream, place))
                }
                Bound::Tcp(listener) => listener.accept().await.map(|(stream, _)| self.answer(stream, place)),
                Bound::Tls(_) => unreachable!("the settings refuse to tell figures in TLS"),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "a scrape of the metrics was not accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    fn answer<S>(&self, stream: S, place: tokio::sync::OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (observed, ending) = (self.observed.clone(), self.ending.clone());
        self.tracker.spawn(async move {
            let service = service_fn(move |request| {
                let observed = observed.clone();
                async move { Ok::<_, Infallible>(answer(&observed, &request).await) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(REQUEST_BYTES)
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // Whoever scrapes tries again; what one connection came to is of no interest.
            let _ = ending.run_until_cancelled(tokio::time::timeout(CONNECTION_TIME, connection)).await;
            drop(place);
        });
    }
}

async fn answer(observed: &Observed, request: &Request<Incoming>) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "there is only /metrics\n");
    }
    if request.method() != Method::GET {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET"));
        return refused;
    }
    let mut text = Vec::new();
    let families = observed.look().await;
    match TextEncoder::new().encode(families.families(), &mut text).map(|()| String::from_utf8(text)) {
        Ok(Ok(text)) => {
            let mut response = Response::new(text);
            let kind = header::HeaderValue::from_static(TEXT_FORMAT);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Ok(Err(_)) | Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the figures cannot be written\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}
