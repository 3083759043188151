//! The check before every service of an endpoint.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use claude_comms_model::TokenScope;
use http::{Request, Response, header::AUTHORIZATION};
use tonic::{
    Status,
    body::Body,
    transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo},
};
use tower::{Layer, Service};

use super::{
    Refusal, Refusals, Tokens,
    ending::{Ending, UntilEnd},
    scope,
    tokens::{Held, Refused},
};
use crate::grpc::status::{ApiError, TokenFailure};

/// What a caller must show.
#[derive(Debug, Clone)]
pub enum Rule {
    /// To be this user.
    Owner(u32),
    /// A token whose scope suffices.
    Token(Tokens),
    /// Nothing.
    Open,
}

/// Puts a [`Rule`] before every service of an endpoint.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    /// The rule.
    pub rule: Rule,
    /// Where refusals are counted.
    pub refusals: Refusals,
}

impl<S> Layer<S> for AuthLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { layer: self.clone(), inner }
    }
}

/// A service behind a [`Rule`].
#[derive(Debug, Clone)]
pub struct Gate<S> {
    layer: AuthLayer,
    inner: S,
}

impl AuthLayer {
    /// The token of a call that may go on, if it needs one.
    fn check<B>(&self, request: &Request<B>) -> Result<Option<Arc<Held>>, Status> {
        match &self.rule {
            Rule::Open => Ok(None),
            Rule::Owner(owner) => {
                let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
                if peer.is_some_and(|peer| peer.uid() == *owner) {
                    return Ok(None);
                }
                self.refusals.note(Refusal::OtherUser, &Peer::of(request), request.uri().path(), None, None);
                Err(ApiError::OtherUser.into())
            }
            Rule::Token(tokens) => {
                let path = request.uri().path();
                let Some(needed) = scope::needed(path) else { return Ok(None) };
                let given = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
                let refused = match tokens.check(given, needed, SystemTime::now().into()) {
                    Ok(held) => return Ok(Some(held)),
                    Err(refused) => refused,
                };
                let (why, held) = match &refused {
                    Refused::Unknown(why) => (*why, None),
                    Refused::Ended(why, held) => (*why, Some(held)),
                    Refused::TooNarrow(held) => (Refusal::ScopeTooNarrow, Some(held)),
                };
                let name = held.map(|held| held.name());
                self.refusals.note(why, &Peer::of(request), path, name, None);
                Err(status(why, held.map(|held| held.scope()), needed))
            }
        }
    }
}

/// What the caller is told: not whether a wrong token once was a good one.
fn status(why: Refusal, scope: Option<TokenScope>, needed: TokenScope) -> Status {
    let failure = match (why, scope) {
        (Refusal::NoToken, _) => TokenFailure::Required("this endpoint needs a token"),
        (Refusal::ExpiredToken, _) => TokenFailure::Expired,
        (Refusal::ScopeTooNarrow, Some(scope)) => TokenFailure::TooNarrow { scope, needed },
        _ => TokenFailure::Required("the token is wrong"),
    };
    ApiError::Token(failure).into()
}

/// Who called, for the log.
enum Peer {
    Tcp(std::net::SocketAddr),
    User(u32),
    Unknown,
}

impl Peer {
    fn of<B>(request: &Request<B>) -> Self {
        let extensions = request.extensions();
        let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
        let tcp = tls.or_else(|| extensions.get::<TcpConnectInfo>());
        if let Some(address) = tcp.and_then(TcpConnectInfo::remote_addr) {
            return Self::Tcp(address);
        }
        let user = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        user.map_or(Self::Unknown, |user| Self::User(user.uid()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::User(id) => write!(f, "user {id}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

type BoxedFuture<E> = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxedFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let held = match self.layer.check(&request) {
            Ok(held) => held,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let Some((held, ending)) = held.and_then(|held| Ending::of(&held).map(|ending| (held, ending)))
        else {
            return Box::pin(self.inner.call(request));
        };
        let (refusals, peer) = (self.layer.refusals.clone(), Peer::of(&request));
        let path = request.uri().path().to_owned();
        let ended = move |why| {
            refusals.note(why, &peer, &path, Some(held.name()), Some(&"while the call was under way"));
            status(why, Some(held.scope()), TokenScope::Admin)
        };
        until_end(self.inner.call(request), ending, ended)
    }
}

/// The call, cut off when its token ends: before its answer, or in the midst of its stream.
fn until_end<F, E>(
    call: F,
    mut ending: Ending,
    ended: impl Fn(Refusal) -> Status + Send + Unpin + 'static,
) -> BoxedFuture<E>
where
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: 'static,
{
    Box::pin(async move {
        tokio::select! {
            biased;
            response = call => {
                response.map(|response| response.map(|body| Body::new(UntilEnd::new(body, ending, ended))))
            }
            why = &mut ending => Ok(ended(why).into_http()),
        }
    })
}
