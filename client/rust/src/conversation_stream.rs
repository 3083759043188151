//! The watch of a conversation that takes itself up again after a lost connection. It owns the connection's state and what
//! is held of the conversation; what is held of the turn that runs is `progress`'s.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::{sync::watch, time::Sleep};
use tonic::{Response, Status, Streaming};

use crate::{
    Client, ConversationEvent, Error, TurnEvent,
    backoff::Patience,
    progress::{Gap, Progress},
    transport::{Trouble, trouble},
    v1,
};

/// A hole in the text is asked for again this often before the server is called broken.
const GAPS_IN_A_ROW: u32 = 3;

type Opening =
    Pin<Box<dyn Future<Output = Result<Response<Streaming<v1::ConversationEvent>>, Status>> + Send>>;

/// The events of all turns of one conversation, in order: the durable ones by their numbers, without a gap, and the text of
/// the turn that runs between them. A lost connection is made again, also to a server that was restarted, and the watch taken
/// up where it was: no event and no byte of text is lost or given twice. It gives up with [`Error::WatchLost`] when there was
/// no server for the client's reconnect timeout.
///
/// It never ends by itself; dropping it ends nothing but the watch.
pub struct ConversationStream {
    client: Client,
    held: Held,
    phase: Phase,
    ready: VecDeque<ConversationEvent>,
    patience: Patience,
    gaps: u32,
    connected: watch::Sender<bool>,
}

enum Phase {
    Opening(Opening),
    Open(Box<Streaming<v1::ConversationEvent>>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

/// What is held of the conversation. It outlives connections: a new one goes on from here.
#[derive(Debug, Clone)]
struct Held {
    conversation_id: String,
    /// The last durable event; `None` before the server has said where the watch stands.
    last_sequence: Option<u64>,
    /// Of the turn that ran last.
    turn: Progress,
    /// Whether a turn was seen to start: before that, the text belongs to the turn that ran when the watch began.
    started: bool,
}

impl Held {
    fn request(&self) -> v1::WatchConversationRequest {
        let text_offset = if self.turn.ended { 0 } else { self.turn.held };
        v1::WatchConversationRequest {
            conversation_id: self.conversation_id.clone(),
            after_sequence: self.last_sequence,
            text_offset,
        }
    }

    /// Takes a message of the server and puts what is new in it into `into`.
    fn take(
        &mut self,
        message: v1::ConversationEvent,
        into: &mut VecDeque<ConversationEvent>,
    ) -> Result<(), Gap> {
        use v1::turn_event::Event;
        let v1::ConversationEvent { sequence, event, .. } = message;
        let Some(v1::conversation_event::Event::Turn(event)) = event else {
            self.last_sequence = self.last_sequence.max(Some(sequence));
            return Ok(());
        };
        let durable = match &event.event {
            Some(
                Event::TextDelta(_)
                | Event::Queued(_)
                | Event::ToolCall(_)
                | Event::ToolResult(_)
                | Event::ContextCompacted(_),
            )
            | None => false,
            Some(Event::Retrying(retrying)) => retrying.scope() != v1::RetryScope::Api,
            Some(_) => true,
        };
        if durable && self.last_sequence.is_some_and(|last| sequence <= last) {
            return Ok(());
        }
        let starts = matches!(event.event, Some(Event::Started(_)));
        let runs = starts
            || matches!(event.event, Some(Event::TextDelta(_) | Event::TextReset(_) | Event::Completed(_)));
        let mut waiting = Progress::default();
        let progress = if event.turn_id == self.turn.turn_id {
            &mut self.turn
        } else if runs {
            // What the caller said it holds is of the turn that ran when the watch began.
            let held = if starts || self.started { 0 } else { self.turn.held };
            self.turn = Progress { turn_id: event.turn_id.clone(), held, ..Progress::default() };
            &mut self.turn
        } else {
            &mut waiting
        };
        let mut taken: Vec<TurnEvent> = Vec::new();
        progress.take(event, &mut taken)?;
        self.started |= starts;
        self.last_sequence = self.last_sequence.max(Some(sequence));
        let conversation_id = &self.conversation_id;
        into.extend(taken.into_iter().map(|turn| ConversationEvent {
            sequence,
            conversation_id: conversation_id.clone(),
            turn,
        }));
        Ok(())
    }
}

impl ConversationStream {
    /// Opens the watch and waits until it stands, so that a refusal is the call's error and nothing that happens from then
    /// on is missed.
    pub(crate) async fn open(client: Client, request: v1::WatchConversationRequest) -> Result<Self, Error> {
        let held = Held {
            conversation_id: request.conversation_id,
            last_sequence: request.after_sequence,
            turn: Progress { held: request.text_offset, ..Progress::default() },
            started: false,
        };
        let patience = Patience::new(client.reconnect_timeout());
        let phase = Phase::Opening(connect(&client, &held));
        let (ready, connected) = (VecDeque::new(), watch::Sender::new(true));
        let mut stream = Self { client, held, phase, ready, patience, gaps: 0, connected };
        poll_fn(|cx| stream.poll_step(cx, true)).await?;
        Ok(stream)
    }

    /// The conversation.
    pub fn conversation_id(&self) -> &str {
        &self.held.conversation_id
    }

    /// Number of the last durable event that was given out; a later watch may go on from there.
    pub fn sequence(&self) -> u64 {
        self.held.last_sequence.unwrap_or_default()
    }

    /// Whether the watch has its server. `false` comes when the connection is lost and is being made again; changes show
    /// only while the watch is read.
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// The next event; `None` only after an error.
    ///
    /// # Errors
    /// [`Error::WatchLost`] when the server was away for too long; others by the server's reason.
    ///
    /// # Cancel safety
    /// Safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Result<ConversationEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// What to do after a call or a stream ended with this status.
    fn failed(&mut self, status: &Status) -> Result<(), Error> {
        let again = match trouble(status) {
            Trouble::NotConnected(ref error) => error.kind() != std::io::ErrorKind::PermissionDenied,
            Trouble::Broken => true,
            // One that was watched and drains comes back; one that drains at the first call said no.
            Trouble::Unavailable => self.patience.has_met(),
            Trouble::Answered => false,
        };
        let error = self.client.error(status);
        if again { self.retry(error) } else { Err(error) }
    }

    fn set_connected(&self, connected: bool) {
        self.connected.send_if_modified(|now| std::mem::replace(now, connected) != connected);
    }

    fn retry(&mut self, error: Error) -> Result<(), Error> {
        if self.patience.has_met() {
            self.set_connected(false);
        }
        match self.patience.next() {
            Some(delay) => {
                self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(delay)));
                Ok(())
            }
            None if !self.patience.has_met() => Err(error),
            None => Err(Error::WatchLost {
                watched: format!("conversation {}", self.held.conversation_id),
                waited: self.patience.waited(),
                source: Box::new(error),
            }),
        }
    }

    fn take(&mut self, message: v1::ConversationEvent) -> Result<(), Error> {
        let before = self.ready.len();
        match self.held.take(message, &mut self.ready) {
            Ok(()) => {
                if self.ready.len() > before {
                    self.gaps = 0;
                }
                self.patience.met();
                self.set_connected(true);
                Ok(())
            }
            Err(Gap { held, offset }) => {
                self.gaps += 1;
                let error = Error::Protocol(format!(
                    "the text of turn {} has a hole: {held} bytes are here and the next piece begins at {offset}",
                    self.held.turn.turn_id
                ));
                if self.gaps > GAPS_IN_A_ROW { Err(error) } else { self.retry(error) }
            }
        }
    }

    /// Goes on until an event is there, or with `opening` until the watch stands.
    fn poll_step(&mut self, cx: &mut Context<'_>, opening: bool) -> Poll<Result<(), Error>> {
        loop {
            if !self.ready.is_empty() || (opening && self.patience.has_met()) {
                return Poll::Ready(Ok(()));
            }
            let step = match &mut self.phase {
                Phase::Over => return Poll::Ready(Ok(())),
                Phase::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.phase = Phase::Opening(connect(&self.client, &self.held));
                    Ok(())
                }
                Phase::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(response) => {
                        self.phase = Phase::Open(Box::new(response.into_inner()));
                        Ok(())
                    }
                    Err(status) => self.failed(&status),
                },
                Phase::Open(stream) => match ready!(Pin::new(stream.as_mut()).poll_next(cx)) {
                    Some(Ok(message)) => self.take(message),
                    Some(Err(status)) => self.failed(&status),
                    None => self.retry(Error::Protocol("the server ended the watch".into())),
                },
            };
            if let Err(error) = step {
                self.phase = Phase::Over;
                return Poll::Ready(Err(error));
            }
        }
    }
}

/// Begins a call that brings what is missing.
fn connect(client: &Client, held: &Held) -> Opening {
    let (mut service, request) = (client.conversations(), held.request());
    Box::pin(async move { service.watch_conversation(request).await })
}

impl Stream for ConversationStream {
    type Item = Result<ConversationEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_step(cx, false)) {
            Ok(()) => Poll::Ready(self.ready.pop_front().map(Ok)),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl fmt::Debug for ConversationStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationStream").field("held", &self.held).finish_non_exhaustive()
    }
}
