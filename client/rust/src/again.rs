//! A stream of the server that is opened again when its connection is lost. What is asked for then is its owner's; here is
//! only the connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream as _;
use tokio::{sync::watch, time::Sleep};
use tonic::{Response, Status, Streaming};

use crate::{
    Client, Error,
    backoff::Patience,
    transport::{Trouble, trouble},
};

pub(crate) type Opening<T> = Pin<Box<dyn Future<Output = Result<Response<Streaming<T>>, Status>> + Send>>;

/// The connection of a stream without an end of its own.
pub(crate) struct Again<T> {
    client: Client,
    phase: Phase<T>,
    patience: Patience,
    connected: watch::Sender<bool>,
}

enum Phase<T> {
    /// To be opened at the next look.
    Closed,
    Opening(Opening<T>),
    Open(Box<Streaming<T>>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

impl<T> Again<T> {
    pub(crate) fn new(client: Client) -> Self {
        let patience = Patience::new(client.reconnect_timeout());
        Self { client, phase: Phase::Closed, patience, connected: watch::Sender::new(true) }
    }

    pub(crate) fn connection(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    fn set_connected(&self, connected: bool) {
        self.connected.send_if_modified(|now| std::mem::replace(now, connected) != connected);
    }

    /// Resolves when the server has taken the call.
    pub(crate) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        connect: impl Fn(&Client) -> Opening<T>,
    ) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.phase {
                Phase::Open(_) | Phase::Over => return Poll::Ready(Ok(())),
                Phase::Closed => self.phase = Phase::Opening(connect(&self.client)),
                Phase::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.phase = Phase::Closed;
                }
                Phase::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(response) => {
                        self.phase = Phase::Open(Box::new(response.into_inner()));
                        self.set_connected(true);
                    }
                    Err(status) => self.failed(&status)?,
                },
            }
        }
    }

    /// The next message, over as many connections as it takes.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        connect: impl Fn(&Client) -> Opening<T>,
    ) -> Poll<Option<Result<T, Error>>> {
        loop {
            if let Err(error) = ready!(self.poll_open(cx, &connect)) {
                return Poll::Ready(Some(Err(error)));
            }
            let Phase::Open(stream) = &mut self.phase else { return Poll::Ready(None) };
            match ready!(Pin::new(stream.as_mut()).poll_next(cx)) {
                Some(Ok(message)) => {
                    self.patience.met();
                    return Poll::Ready(Some(Ok(message)));
                }
                Some(Err(status)) => {
                    if let Err(error) = self.failed(&status) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                None => {
                    self.phase = Phase::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn failed(&mut self, status: &Status) -> Result<(), Error> {
        let again = match trouble(status) {
            Trouble::NotConnected(ref error) => error.kind() != std::io::ErrorKind::PermissionDenied,
            // It was cut, or the server ends: another one may come in its place.
            Trouble::Broken | Trouble::Unavailable => true,
            Trouble::Answered => false,
        };
        let delay = if again { self.patience.next() } else { None };
        match delay {
            Some(delay) => {
                self.set_connected(false);
                self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(delay)));
                Ok(())
            }
            None => {
                self.phase = Phase::Over;
                Err(self.client.error(status))
            }
        }
    }
}

impl<T> fmt::Debug for Again<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").field("connected", &*self.connected.borrow()).finish_non_exhaustive()
    }
}
