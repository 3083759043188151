//! Who may call: over a Unix socket the user who started the server, over TCP whoever has the token. Health is open.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use secrecy::SecretString;
use tonic::{body::Body, transport::server::UdsConnectInfo};
use tower::{Layer, Service};

use crate::{grpc::status::ApiError, token};

const HEALTH: &str = "/grpc.health.v1.Health/";

/// What a caller must show.
#[derive(Debug, Clone)]
pub enum Rule {
    /// To be this user.
    Owner(u32),
    /// The token.
    Token(Arc<SecretString>),
    /// Nothing.
    Open,
}

impl Rule {
    fn check<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        match self {
            Self::Open => Ok(()),
            Self::Owner(owner) => {
                let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
                if peer.is_some_and(|peer| peer.uid() == *owner) { Ok(()) } else { Err(ApiError::OtherUser) }
            }
            Self::Token(_) if request.uri().path().starts_with(HEALTH) => Ok(()),
            Self::Token(token) => match request.headers().get(http::header::AUTHORIZATION) {
                None => Err(ApiError::Unauthenticated("this endpoint needs a token")),
                Some(given) if token::matches(token, given.as_bytes()) => Ok(()),
                Some(_) => Err(ApiError::Unauthenticated("the token is wrong")),
            },
        }
    }
}

/// Puts a [`Rule`] before every service of an endpoint.
#[derive(Debug, Clone)]
pub struct AuthLayer(pub Rule);

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { rule: self.0.clone(), inner }
    }
}

/// A service behind a [`Rule`].
#[derive(Debug, Clone)]
pub struct Auth<S> {
    rule: Rule,
    inner: S,
}

impl<S, B> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.rule.check(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(error) => {
                let refusal = tonic::Status::from(error).into_http();
                Box::pin(async move { Ok(refusal) })
            }
        }
    }
}
