//! One who watches a conversation as the contract says, over as many connections as it takes, and checks every event.

use std::collections::BTreeMap;

use claude_comms_proto::v1::{
    ConversationEvent, RetryScope, Turn, WatchConversationRequest, conversation_event, turn_event::Event,
};
use tonic::{Status, Streaming};

use crate::{Client, wait::within};

/// What a watcher holds; it outlives its streams.
#[derive(Debug, Default)]
pub struct Watcher {
    /// The conversation.
    pub conversation: String,
    /// The last durable event; `None` before the server has said where the watch stands.
    pub sequence: Option<u64>,
    /// Text of the turn that runs, since its last reset.
    pub text: String,
    /// Which turn that is.
    pub running: Option<String>,
    /// What came of the turns that ended: their text as it was streamed, and the record.
    pub ended: BTreeMap<String, (String, Turn)>,
    /// The durable events, by turn and kind.
    pub durable: Vec<(String, &'static str)>,
    /// How many resets came.
    pub resets: usize,
}

impl Watcher {
    /// One who has seen everything up to `after_sequence`; `None` for now.
    #[must_use]
    pub fn new(conversation: &str, after_sequence: Option<u64>) -> Self {
        Self { conversation: conversation.into(), sequence: after_sequence, ..Self::default() }
    }

    /// What to ask for to go on.
    #[must_use]
    pub fn request(&self) -> WatchConversationRequest {
        WatchConversationRequest {
            conversation_id: self.conversation.clone(),
            after_sequence: self.sequence,
            text_offset: self.text.len() as u64,
        }
    }

    /// Begins or goes on; returns once the watch stands.
    ///
    /// # Errors
    /// The status of a watch that was refused or broke before it stood.
    pub async fn open(&mut self, client: &Client) -> Result<Streaming<ConversationEvent>, Status> {
        let mut calls = client.conversations.clone();
        let mut stream = calls.watch_conversation(self.request()).await?.into_inner();
        let first = stream.message().await?.ok_or_else(|| Status::unknown("the watch ended at once"))?;
        assert!(first.event.is_none(), "the first message says where the watch stands: {first:?}");
        assert_eq!(self.sequence.unwrap_or(first.sequence), first.sequence);
        self.sequence = Some(first.sequence);
        Ok(stream)
    }

    /// Takes one event and returns its kind.
    ///
    /// # Panics
    /// When an event or a byte is lost, doubled or out of its place.
    pub fn take(&mut self, message: &ConversationEvent) -> &'static str {
        assert_eq!(message.conversation_id, self.conversation);
        let last = self.sequence.expect("the watch stands");
        let Some(conversation_event::Event::Turn(event)) = &message.event else {
            panic!("only the first message is without an event: {message:?}")
        };
        let turn = event.turn_id.clone();
        let event = event.event.as_ref().expect("an event says what happened");
        let kind = kind(event);
        let live = match event {
            Event::TextDelta(delta) => {
                let running = self.running.get_or_insert_with(|| turn.clone());
                assert_eq!(*running, turn, "text of a turn that does not run");
                assert_eq!(delta.offset, self.text.len() as u64, "text is lost or doubled: {message:?}");
                self.text.push_str(&delta.text);
                true
            }
            Event::Queued(_) | Event::ToolCall(_) | Event::ToolResult(_) | Event::ContextCompacted(_) => true,
            Event::Retrying(retrying) => retrying.scope() == RetryScope::Api,
            _ => false,
        };
        if live {
            assert_eq!(message.sequence, last, "live events repeat the number before them: {message:?}");
            return kind;
        }
        assert_eq!(message.sequence, last + 1, "an event is lost or doubled: {message:?}");
        self.sequence = Some(message.sequence);
        self.durable.push((turn.clone(), kind));
        match event {
            Event::Started(_) => {
                assert!(self.running.as_ref().is_none_or(|running| *running == turn), "one turn at a time");
                self.running = Some(turn);
            }
            Event::TextReset(_) => {
                self.text.clear();
                self.resets += 1;
            }
            Event::Completed(end) => self.end(turn, end.turn.clone()),
            Event::Failed(end) => self.end(turn, end.turn.clone()),
            Event::Cancelled(end) => self.end(turn, end.turn.clone()),
            _ => {}
        }
        kind
    }

    fn end(&mut self, turn: String, record: Option<Turn>) {
        let ran = self.running.as_ref() == Some(&turn);
        let text = if ran { std::mem::take(&mut self.text) } else { String::new() };
        if ran {
            self.running = None;
        }
        let before = self.ended.insert(turn, (text, record.expect("the end has the record")));
        assert!(before.is_none(), "a turn ends once");
    }

    /// Takes events until one of this kind was taken.
    ///
    /// # Panics
    /// When the stream ends before, or breaks the contract.
    pub async fn until(&mut self, stream: &mut Streaming<ConversationEvent>, kind: &str) {
        loop {
            let message = within("an event of the conversation", stream.message()).await;
            let message = message.expect("the watch goes on").expect("the watch does not end");
            if self.take(&message) == kind {
                return;
            }
        }
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Accepted(_) => "accepted",
        Event::Queued(_) => "queued",
        Event::Started(_) => "started",
        Event::TextDelta(_) => "text",
        Event::TextReset(_) => "reset",
        Event::ToolCall(_) => "tool_call",
        Event::ToolResult(_) => "tool_result",
        Event::Retrying(_) => "retrying",
        Event::SessionReset(_) => "session_reset",
        Event::Completed(_) => "completed",
        Event::Failed(_) => "failed",
        Event::ContextCompacted(_) => "context_compacted",
        Event::Cancelled(_) => "cancelled",
    }
}
