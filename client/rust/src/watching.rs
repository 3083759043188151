//! The streams of operators: one instance, and the pool. They take themselves up again after a lost connection.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::watch;

use crate::{
    Client, Error,
    again::{Again, Opening},
    v1,
    watched::Watched,
};

/// What happens to one instance, in order, until the instance ends. A lost connection is made again, for the client's
/// reconnect timeout at most: every durable event comes once, and of the running turn no byte is given twice.
#[derive(Debug)]
pub struct MonitorStream {
    again: Again<v1::InstanceEvent>,
    watched: Watched,
    ready: VecDeque<v1::InstanceEvent>,
}

impl MonitorStream {
    pub(crate) async fn open(client: Client, request: v1::MonitorInstanceRequest) -> Result<Self, Error> {
        let watched = Watched::new(request.id, request.after_sequence);
        let mut stream = Self { again: Again::new(client), watched, ready: VecDeque::new() };
        poll_fn(|cx| stream.again.poll_open(cx, |client| monitor(client, &stream.watched))).await?;
        Ok(stream)
    }

    /// Whether the stream has its server; changes show only while the stream is read.
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.again.connection()
    }

    /// The next event; `None` when the instance has ended, or after an error.
    ///
    /// # Errors
    /// [`Error::NotFound`] when a server that came back does not know the instance; others by the server's reason.
    ///
    /// # Cancel safety
    /// Safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Result<v1::InstanceEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

fn monitor(client: &Client, watched: &Watched) -> Opening<v1::InstanceEvent> {
    let (mut service, request) = (client.instances(), watched.request());
    Box::pin(async move { service.monitor_instance(request).await })
}

impl Stream for MonitorStream {
    type Item = Result<v1::InstanceEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let watched = &this.watched;
            match ready!(this.again.poll_next(cx, |client| monitor(client, watched))) {
                Some(Ok(event)) => this.watched.take(event, &mut this.ready),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The pool: a full snapshot first, then what changes. After a lost connection there is a full snapshot again.
#[derive(Debug)]
pub struct PoolStream {
    again: Again<v1::PoolSnapshot>,
}

impl PoolStream {
    pub(crate) async fn open(client: Client) -> Result<Self, Error> {
        let mut stream = Self { again: Again::new(client) };
        poll_fn(|cx| stream.again.poll_open(cx, watch_pool)).await?;
        Ok(stream)
    }

    /// Whether the stream has its server; changes show only while the stream is read.
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.again.connection()
    }

    /// The next message; `None` after an error.
    ///
    /// # Errors
    /// [`Error`] by the server's reason, when there was no server for the client's reconnect timeout.
    ///
    /// # Cancel safety
    /// Safe: a message is either returned or still there.
    pub async fn next(&mut self) -> Option<Result<v1::PoolSnapshot, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

fn watch_pool(client: &Client) -> Opening<v1::PoolSnapshot> {
    let mut service = client.instances();
    Box::pin(async move { service.watch_pool(v1::WatchPoolRequest {}).await })
}

impl Stream for PoolStream {
    type Item = Result<v1::PoolSnapshot, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().again.poll_next(cx, watch_pool)
    }
}
