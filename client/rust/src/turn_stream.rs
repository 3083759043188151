//! The stream of a turn that takes itself up again after a lost connection. It owns the connection's state; what is held
//! of the turn is `progress`'s.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::{sync::watch, time::Sleep};
use tonic::{Response, Status, Streaming};

use crate::{
    Answer, Client, Error, TurnEvent, TurnUpdate,
    backoff::Patience,
    progress::{Gap, Progress},
    transport::{Trouble, trouble},
    v1,
};

/// A hole in the text is asked for again this often before the server is called broken.
const GAPS_IN_A_ROW: u32 = 3;

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<v1::TurnEvent>>, Status>> + Send>>;

/// How the stream began; once the turn is known it goes on with WatchTurn.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Send(v1::SendMessageRequest),
    Query(v1::QueryInstanceRequest),
    // It is by far the largest.
    Module(Box<v1::QueryModuleRequest>),
    Watch(v1::WatchTurnRequest),
}

/// The events of one turn, in order, up to the terminal one. A lost connection is made again and the turn taken up where
/// it was: no byte of text is lost or given twice. It gives up with [`Error::TurnLost`] when there was no server for the
/// client's reconnect timeout.
///
/// Dropping it never ends the turn: [`Client::watch_turn`] and [`Client::wait_turn`] take it up again,
/// [`Client::cancel_turn`] ends it.
pub struct TurnStream {
    client: Client,
    origin: Origin,
    phase: Phase,
    progress: Progress,
    ready: VecDeque<TurnEvent>,
    patience: Patience,
    gaps: u32,
    connected: watch::Sender<bool>,
}

enum Phase {
    Opening(Opening),
    Open(Box<Streaming<v1::TurnEvent>>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

impl TurnStream {
    /// Opens the stream and waits for its first event, so that a refusal is the call's error.
    pub(crate) async fn open(client: Client, origin: Origin) -> Result<Self, Error> {
        let progress = match &origin {
            Origin::Watch(request) => Progress {
                turn_id: request.turn_id.clone(),
                last_sequence: request.after_sequence,
                held: request.text_offset,
                ended: false,
            },
            Origin::Send(_) | Origin::Query(_) | Origin::Module(_) => Progress::default(),
        };
        let patience = Patience::new(client.reconnect_timeout());
        let phase = Phase::Opening(connect(&client, &origin, &progress));
        let (ready, connected) = (VecDeque::new(), watch::Sender::new(true));
        let mut stream = Self { client, origin, phase, progress, ready, patience, gaps: 0, connected };
        match stream.next().await {
            Some(Ok(first)) => stream.ready.push_front(first),
            Some(Err(error)) => return Err(error),
            None => return Err(Error::Protocol("the stream of the turn had no event".into())),
        }
        Ok(stream)
    }

    /// The turn's ID.
    pub fn turn_id(&self) -> &str {
        &self.progress.turn_id
    }

    /// Whether the stream has its server. `false` comes when the connection of an accepted turn is lost and is being
    /// made again, for the client's reconnect timeout at most; changes show only while the stream is read.
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// The next event; `None` after the terminal one or an error.
    ///
    /// # Errors
    /// [`Error::TurnLost`] when the server was away for too long; others by the server's reason.
    ///
    /// # Cancel safety
    /// Safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Result<TurnEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads to the end and returns the terminal record with the whole text that came through this stream.
    ///
    /// # Errors
    /// As [`TurnStream::next`]. A turn that FAILED or was CANCELLED is no error here: see [`Answer::into_result`].
    pub async fn collect(mut self) -> Result<Answer, Error> {
        let mut whole = String::new();
        while let Some(event) = self.next().await {
            match event?.update {
                TurnUpdate::Text { text, .. } => whole.push_str(&text),
                TurnUpdate::Reset { .. } => whole.clear(),
                TurnUpdate::Completed(turn) | TurnUpdate::Failed(turn) | TurnUpdate::Cancelled(turn) => {
                    return Ok(Answer { turn: *turn, text: whole });
                }
                _ => {}
            }
        }
        Err(Error::Protocol(format!(
            "the stream of turn {} ended before the turn did",
            self.progress.turn_id
        )))
    }

    /// What to do after a call or a stream ended with this status.
    fn failed(&mut self, status: &Status) -> Result<(), Error> {
        let accepted = !self.progress.turn_id.is_empty();
        let again = match trouble(status) {
            Trouble::NotConnected(ref error) => error.kind() != std::io::ErrorKind::PermissionDenied,
            Trouble::Broken => true,
            // An accepted turn outlives the server that drains; an unaccepted one was refused.
            Trouble::Unavailable => accepted,
            Trouble::Answered => accepted && status.code() == tonic::Code::ResourceExhausted,
        };
        let error = self.client.error(status);
        if !again {
            return Err(error);
        }
        if status.code() != tonic::Code::ResourceExhausted {
            self.lost();
        }
        self.retry(error)
    }

    fn lost(&self) {
        if !self.progress.turn_id.is_empty() {
            self.set_connected(false);
        }
    }

    fn set_connected(&self, connected: bool) {
        self.connected.send_if_modified(|now| std::mem::replace(now, connected) != connected);
    }

    fn retry(&mut self, error: Error) -> Result<(), Error> {
        match self.patience.next() {
            Some(delay) => {
                self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(delay)));
                Ok(())
            }
            None if self.progress.turn_id.is_empty() || self.patience.waited() < Duration::from_secs(1) => {
                Err(error)
            }
            None => Err(Error::TurnLost {
                turn_id: self.progress.turn_id.clone(),
                waited: self.patience.waited(),
                source: Box::new(error),
            }),
        }
    }

    fn gap(&mut self, gap: Gap) -> Result<(), Error> {
        self.gaps += 1;
        let error = Error::Protocol(format!(
            "the text of turn {} has a hole: {} bytes are here and the next piece begins at {}",
            self.progress.turn_id, gap.held, gap.offset
        ));
        if self.gaps > GAPS_IN_A_ROW { Err(error) } else { self.retry(error) }
    }

    fn take(&mut self, event: v1::TurnEvent) -> Result<(), Error> {
        let held = self.progress.held;
        match self.progress.take(event, &mut self.ready) {
            Ok(()) => {
                if self.progress.held != held {
                    self.gaps = 0;
                }
                self.patience.met();
                Ok(())
            }
            Err(gap) => self.gap(gap),
        }
    }
}

/// Begins a call that brings what is missing.
fn connect(client: &Client, origin: &Origin, progress: &Progress) -> Opening {
    let mut service = client.conversations();
    if !progress.turn_id.is_empty() {
        let request = v1::WatchTurnRequest {
            turn_id: progress.turn_id.clone(),
            after_sequence: progress.last_sequence,
            text_offset: progress.held,
        };
        return Box::pin(async move { service.watch_turn(request).await });
    }
    match origin.clone() {
        // The same request_id is the same turn, however often it is sent.
        Origin::Send(request) => Box::pin(async move { service.send_message(request).await }),
        Origin::Query(request) => {
            let mut service = client.instances();
            Box::pin(async move { service.query_instance(request).await })
        }
        Origin::Module(request) => {
            let mut service = client.modules();
            Box::pin(async move { service.query_module(*request).await })
        }
        Origin::Watch(request) => Box::pin(async move { service.watch_turn(request).await }),
    }
}

impl Stream for TurnStream {
    type Item = Result<TurnEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if this.progress.ended {
                this.phase = Phase::Over;
            }
            let step = match &mut this.phase {
                Phase::Over => return Poll::Ready(None),
                Phase::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    this.phase = Phase::Opening(connect(&this.client, &this.origin, &this.progress));
                    Ok(())
                }
                Phase::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(response) => {
                        this.phase = Phase::Open(Box::new(response.into_inner()));
                        this.set_connected(true);
                        Ok(())
                    }
                    Err(status) => this.failed(&status),
                },
                Phase::Open(stream) => match ready!(Pin::new(stream.as_mut()).poll_next(cx)) {
                    Some(Ok(event)) => this.take(event),
                    Some(Err(status)) => this.failed(&status),
                    // A server that shuts down may end its streams in peace; the turn has not ended.
                    None => {
                        this.lost();
                        this.retry(Error::Protocol(
                            "the server ended the stream before the turn ended".into(),
                        ))
                    }
                },
            };
            if let Err(error) = step {
                this.phase = Phase::Over;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl fmt::Debug for TurnStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnStream").field("progress", &self.progress).finish_non_exhaustive()
    }
}
