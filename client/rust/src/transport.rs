//! The channel: how it is made, and what a failed call says about it. Knows nothing of turns.

use std::{error::Error as StdError, io, time::Duration};

use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Code, ConnectError, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{Channel, Endpoint as TonicEndpoint},
};
use tonic_types::StatusExt as _;

use crate::{
    Endpoint,
    tls::{self, Connector},
};

/// The largest message this client takes, in bytes. The server stays below 3.5 MiB.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// h2 charges unread small frames against half of this window and kills the whole connection when that is spent, so
/// one slow stream would end its neighbours; 64 MiB is out of reach.
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that is frozen or behind a dead network is noticed after interval plus timeout.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the channel. Nothing is connected before the first call; a broken connection is made again by the next one.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn channel(endpoint: &Endpoint, tls: Option<&Connector>) -> Channel {
    let uri = match endpoint {
        // The connector below ignores the URI; HTTP/2 wants an authority all the same.
        Endpoint::Unix(_) => "http://localhost".to_owned(),
        Endpoint::Tcp { .. } => endpoint.to_string(),
        // The connector speaks TLS, not tonic; the origin below is what requests name.
        Endpoint::Tls { .. } => endpoint.to_string().replacen("https", "http", 1),
    };
    let settings = TonicEndpoint::from_shared(uri)
        .expect("an endpoint prints as a URI")
        .user_agent(concat!("claude-comms-client/", env!("CARGO_PKG_VERSION")))
        .expect("the user agent is ASCII")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    match endpoint {
        Endpoint::Unix(path) => {
            let path = path.clone();
            settings.connect_with_connector_lazy(tower::service_fn(move |_| {
                let path = path.clone();
                async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
            }))
        }
        Endpoint::Tcp { .. } => settings.connect_lazy(),
        Endpoint::Tls { .. } => {
            let connector = tls.expect("a client of a TLS endpoint has a connector").clone();
            let origin = endpoint.to_string().parse().expect("an endpoint prints as a URI");
            settings.origin(origin).connect_with_connector_lazy(tower::service_fn(move |_| {
                let connector = connector.clone();
                async move { connector.connect().await.map(TokioIo::new) }
            }))
        }
    }
}

/// Puts the token on every call.
#[derive(Clone)]
pub(crate) struct Authorization(Option<MetadataValue<Ascii>>);

impl Authorization {
    pub(crate) fn new(token: Option<&SecretString>) -> Self {
        Self(token.map(|token| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
                .parse()
                .expect("a token is checked to be visible ASCII");
            value.set_sensitive(true);
            value
        }))
    }
}

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// What a failed call says about the connection.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There was no connection: the server has not seen the call.
    NotConnected(io::Error),
    /// The connection broke: nobody knows what the server has seen.
    Broken,
    /// The server cannot serve now and says so.
    Unavailable,
    /// The server answered.
    Answered,
}

/// What this status says about the connection.
pub(crate) fn trouble(status: &Status) -> Trouble {
    // Trying again changes no certificate.
    if tls::problem(status).is_some() {
        return Trouble::Answered;
    }
    if let Some(error) = connect_error(status) {
        return Trouble::NotConnected(error);
    }
    if is_broken(status) {
        return Trouble::Broken;
    }
    // ENHANCE_YOUR_CALM has a source and is Broken; what is left here came from the server's own hand.
    if status.code() == Code::Unavailable { Trouble::Unavailable } else { Trouble::Answered }
}

/// Whether the status was made on our side of a connection that broke. The server puts ErrorInfo on everything it says.
pub(crate) fn is_broken(status: &Status) -> bool {
    if status.get_details_error_info().is_some() {
        return false;
    }
    status.source().is_some()
        || matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Cancelled | Code::Aborted)
        // tonic's own, for a stream that ends within a message.
        || (status.code() == Code::Internal && status.message().starts_with("Unexpected EOF"))
}

/// Whether the other side does not speak HTTP/2 at all. h2 is known here by its words alone: it is no dependency of ours.
pub(crate) fn is_foreign(status: &Status) -> bool {
    const WORDS: [&str; 2] = ["frame with invalid size", "unspecific protocol error"];
    let mut source = status.source();
    while let Some(error) = source {
        let text = error.to_string();
        if WORDS.iter().any(|words| text.contains(words)) {
            return true;
        }
        source = error.source();
    }
    false
}

fn connect_error(status: &Status) -> Option<io::Error> {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Some(innermost_io(error));
        }
        source = error.source();
    }
    None
}

/// The operating system's word for a failed connect, as an owned error.
fn innermost_io(error: &(dyn StdError + 'static)) -> io::Error {
    let mut found = None;
    let mut last = error;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            found = Some(match io.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(io.kind(), io.to_string()),
            });
        }
        last = error;
        next = error.source();
    }
    found.unwrap_or_else(|| io::Error::other(last.to_string()))
}
