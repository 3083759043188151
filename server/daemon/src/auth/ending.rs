//! What ends a call while it is under way: its token is revoked, or expires. Knows nothing of the call.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use claude_comms_model::Timestamp;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, body::Body};

use super::{Refusal, tokens::Held};

/// Resolves when a token ends.
pub(super) struct Ending {
    revoked: Pin<Box<WaitForCancellationFutureOwned>>,
    expired: Option<Pin<Box<Sleep>>>,
}

impl Ending {
    /// Of a token that can end.
    pub(super) fn of(held: &Held) -> Option<Self> {
        let revoked = Box::pin(held.revoked()?.clone().cancelled_owned());
        let now = Timestamp::from(SystemTime::now());
        let expired = held.expire_time().map(|end| Box::pin(tokio::time::sleep(end.since(now))));
        Some(Self { revoked, expired })
    }
}

impl Future for Ending {
    type Output = Refusal;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Refusal> {
        if self.revoked.as_mut().poll(context).is_ready() {
            return Poll::Ready(Refusal::RevokedToken);
        }
        match &mut self.expired {
            Some(expired) => expired.as_mut().poll(context).map(|()| Refusal::ExpiredToken),
            None => Poll::Pending,
        }
    }
}

/// A response's body that ends with a status when the token does.
pub(super) struct UntilEnd<F> {
    /// `None` once it was cut.
    inner: Option<Body>,
    ending: Ending,
    status: F,
}

impl<F> UntilEnd<F> {
    pub(super) fn new(inner: Body, ending: Ending, status: F) -> Self {
        Self { inner: Some(inner), ending, status }
    }
}

impl<F: Fn(Refusal) -> Status + Unpin> HttpBody for UntilEnd<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.inner.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(why) = Pin::new(&mut self.ending).poll(context) {
            self.inner = None;
            let status = (self.status)(why);
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(match status.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(error) => Err(error),
            }));
        }
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}
