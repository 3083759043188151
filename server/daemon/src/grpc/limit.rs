//! A request that is larger than the server takes is refused by tonic before any handler sees it, without `ErrorInfo`. Here
//! that refusal becomes one of ours.

use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::{Code, body::Body};
use tower::{Layer, Service};

use super::status::ApiError;

/// Puts the translation before every service of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitLayer {
    /// Longest prompt, bytes: what the caller should know.
    pub prompt_limit_bytes: usize,
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit { layer: *self, inner }
    }
}

/// A service behind the translation.
#[derive(Debug, Clone)]
pub(crate) struct Limit<S> {
    layer: LimitLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Limit<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit_bytes = self.layer.prompt_limit_bytes;
        let call = self.inner.call(request);
        Box::pin(async move {
            let response = call.await?;
            // No handler of ours answers OUT_OF_RANGE; tonic's decoder does, for this alone.
            let status =
                response.headers().get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
            if status == Some(Code::OutOfRange) {
                return Ok(tonic::Status::from(ApiError::TooLarge { limit_bytes }).into_http());
            }
            Ok(response)
        })
    }
}
