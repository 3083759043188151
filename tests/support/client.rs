//! Raw clients made from the contract alone, and a listener who holds a turn's stream to the contract's word.

use claude_comms_proto::v1::{
    CreateConversationRequest, SendMessageRequest, Turn, TurnEvent,
    conversation_service_client::ConversationServiceClient,
    diagnostics_service_client::DiagnosticsServiceClient, instance_service_client::InstanceServiceClient,
    module_service_client::ModuleServiceClient, token_service_client::TokenServiceClient, turn_event::Event,
};
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::wait::within;

/// Puts the bearer token on every call; without one, nothing.
#[derive(Debug, Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Calls = InterceptedService<Channel, Token>;

/// Largest message a client takes, in bytes: tonic's own default, said here because the contract promises to stay below.
const RECEIVE_LIMIT_BYTES: usize = 4 << 20;
/// Largest message a client sends, in bytes: above the prompt limit, so that the server is the one to refuse.
const SEND_LIMIT_BYTES: usize = 64 << 20;

/// All services of one server over one connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Conversations and turns.
    pub conversations: ConversationServiceClient<Calls>,
    /// Instances.
    pub instances: InstanceServiceClient<Calls>,
    /// Modules.
    pub modules: ModuleServiceClient<Calls>,
    /// The server itself.
    pub diagnostics: DiagnosticsServiceClient<Calls>,
    /// Tokens.
    pub tokens: TokenServiceClient<Calls>,
    /// Health, which needs no token.
    pub health: HealthClient<Channel>,
}

impl Client {
    /// Connects to `unix:PATH` or `http://HOST:PORT`.
    ///
    /// # Panics
    /// When nobody answers there.
    pub async fn connect(endpoint: &str, token: Option<&str>) -> Self {
        let target = Endpoint::from_shared(endpoint.to_owned()).expect("an endpoint of the contract");
        let channel = within("a connection", target.connect()).await;
        let channel = channel.unwrap_or_else(|error| panic!("connect to {endpoint}: {error:?}"));
        Self::over(channel, token)
    }

    /// All services over a connection that is there.
    ///
    /// # Panics
    /// When the token cannot be in a header.
    #[must_use]
    pub fn over(channel: Channel, token: Option<&str>) -> Self {
        let token = Token(token.map(|token| format!("Bearer {token}").parse().expect("a token is ASCII")));
        let calls = || InterceptedService::new(channel.clone(), token.clone());
        Self {
            conversations: ConversationServiceClient::new(calls())
                .max_decoding_message_size(RECEIVE_LIMIT_BYTES)
                .max_encoding_message_size(SEND_LIMIT_BYTES),
            instances: InstanceServiceClient::new(calls()).max_decoding_message_size(RECEIVE_LIMIT_BYTES),
            modules: ModuleServiceClient::new(calls())
                .max_decoding_message_size(RECEIVE_LIMIT_BYTES)
                .max_encoding_message_size(SEND_LIMIT_BYTES),
            tokens: TokenServiceClient::new(calls()),
            diagnostics: DiagnosticsServiceClient::new(calls()),
            health: HealthClient::new(channel.clone()),
        }
    }

    /// Makes a conversation without title, prompt or labels and returns its ID.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn new_conversation(&self) -> String {
        let request = CreateConversationRequest::default();
        self.conversations.clone().create_conversation(request).await.expect("a conversation").into_inner().id
    }

    /// Sends a prompt and returns the stream of its turn.
    ///
    /// # Errors
    /// The status of a turn that was not accepted.
    pub async fn send(&self, conversation: &str, prompt: impl Into<String>) -> Result<Heard, Status> {
        let request = SendMessageRequest {
            conversation_id: conversation.into(),
            prompt: prompt.into(),
            ..SendMessageRequest::default()
        };
        self.send_request(request).await
    }

    /// As [`Client::send`], with every field.
    ///
    /// # Errors
    /// The status of a turn that was not accepted.
    pub async fn send_request(&self, request: SendMessageRequest) -> Result<Heard, Status> {
        Ok(Heard::new(self.conversations.clone().send_message(request).await?.into_inner()))
    }

    /// Sends a prompt and hears its turn to the end.
    ///
    /// # Panics
    /// When the turn is not accepted or its stream breaks the contract.
    pub async fn ask(&self, conversation: &str, prompt: impl Into<String>) -> Heard {
        let mut heard = self.send(conversation, prompt).await.expect("the turn is accepted");
        heard.to_end().await;
        heard
    }
}

/// The stable reason of a refusal; empty where the status carries none.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields a refusal complains about.
#[must_use]
pub fn bad_fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let request = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    request.into_iter().map(|violation| violation.field).collect()
}

/// A turn's stream, and all that was heard of it so far.
#[derive(Debug)]
pub struct Heard {
    stream: Streaming<TurnEvent>,
    /// Every event, in order.
    pub events: Vec<TurnEvent>,
    /// The answer so far: deltas since the last reset.
    pub text: String,
    /// The terminal record, once it came.
    pub end: Option<Turn>,
    text_offset: usize,
}

impl Heard {
    /// Listens to a stream from a turn's beginning.
    #[must_use]
    pub fn new(stream: Streaming<TurnEvent>) -> Self {
        Self::from_offset(stream, 0)
    }

    /// Listens to a stream that leaves out the first `text_offset` bytes of the text.
    #[must_use]
    pub fn from_offset(stream: Streaming<TurnEvent>, text_offset: usize) -> Self {
        Self { stream, events: Vec::new(), text: String::new(), end: None, text_offset }
    }

    /// The next event; `None` at the end of the stream.
    ///
    /// # Panics
    /// When the stream fails, ends without a terminal event, or breaks the contract: a delta elsewhere than at its offset, a
    /// sequence that goes back, anything after the end.
    pub async fn next(&mut self) -> Option<TurnEvent> {
        let event = within("an event of the turn", self.stream.message()).await;
        let Some(event) = event.unwrap_or_else(|status| panic!("the stream fails: {status:?}; {self:?}"))
        else {
            assert!(self.end.is_some(), "the stream ends without a terminal event: {:?}", self.events);
            return None;
        };
        assert!(self.end.is_none(), "an event after the end: {event:?}");
        if let Some(last) = self.events.last() {
            assert!(event.sequence >= last.sequence, "the sequence goes back: {last:?}, then {event:?}");
        }
        match event.event.as_ref().expect("an event says what happened") {
            Event::TextDelta(delta) => {
                let offset = usize::try_from(delta.offset).expect("an offset fits");
                assert_eq!(offset, self.text_offset + self.text.len(), "a delta is lost or doubled");
                self.text.push_str(&delta.text);
            }
            Event::TextReset(_) => {
                self.text.clear();
                self.text_offset = 0;
            }
            Event::Completed(end) => self.end.clone_from(&end.turn),
            Event::Failed(end) => self.end.clone_from(&end.turn),
            Event::Cancelled(end) => self.end.clone_from(&end.turn),
            _ => {}
        }
        self.events.push(event.clone());
        Some(event)
    }

    /// Hears until an event fits and returns it.
    ///
    /// # Panics
    /// As [`Heard::next`], and when the turn ends without such an event.
    pub async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> TurnEvent {
        while let Some(event) = self.next().await {
            if event.event.as_ref().is_some_and(&fits) {
                return event;
            }
        }
        panic!("the turn ended without it: {:?}", self.events);
    }

    /// Hears to the end and returns the terminal record.
    ///
    /// # Panics
    /// As [`Heard::next`].
    pub async fn to_end(&mut self) -> &Turn {
        while self.next().await.is_some() {}
        self.turn()
    }

    /// The status that the stream fails with.
    ///
    /// # Panics
    /// When it ends without.
    pub async fn failure(&mut self) -> Status {
        loop {
            match within("the failure of a stream", self.stream.message()).await {
                Ok(Some(event)) => self.events.push(event),
                Ok(None) => panic!("the stream ended well: {:?}", self.events),
                Err(status) => return status,
            }
        }
    }

    /// The terminal record.
    ///
    /// # Panics
    /// When it has not come.
    #[track_caller]
    #[must_use]
    pub fn turn(&self) -> &Turn {
        self.end.as_ref().expect("the turn was heard to its end")
    }

    /// The failure's reason; empty where there is none.
    #[track_caller]
    #[must_use]
    pub fn reason(&self) -> &str {
        self.turn().failure.as_ref().map(|failure| failure.reason.as_str()).unwrap_or_default()
    }

    /// The turn's ID.
    ///
    /// # Panics
    /// Before the first event.
    #[track_caller]
    #[must_use]
    pub fn turn_id(&self) -> &str {
        &self.events.first().expect("the first event was heard").turn_id
    }
}
