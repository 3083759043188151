//! A conversation with the server, through a raw client with windows that are no limit.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::{
    CreateConversationRequest, GetServerInfoRequest, SendMessageRequest, TurnEvent,
    conversation_service_client::ConversationServiceClient,
    diagnostics_service_client::DiagnosticsServiceClient, module_service_client::ModuleServiceClient,
    turn_event::Event,
};
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::samples::TurnTimes;

const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Calls = InterceptedService<Channel, Token>;

/// A connection to the server.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    conversations: ConversationServiceClient<Calls>,
    diagnostics: DiagnosticsServiceClient<Calls>,
    pub(crate) modules: ModuleServiceClient<Calls>,
}

impl Connection {
    pub(crate) async fn open(endpoint: &str, token: Option<&str>) -> Self {
        let target = Endpoint::from_shared(endpoint.to_owned())
            .expect("an endpoint of the contract")
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .tcp_nodelay(true);
        let channel = target.connect().await.expect("the server answers");
        let token = Token(token.map(|token| format!("Bearer {token}").parse().expect("a token is ASCII")));
        let calls = InterceptedService::new(channel, token);
        Self {
            conversations: ConversationServiceClient::new(calls.clone()),
            diagnostics: DiagnosticsServiceClient::new(calls.clone()),
            modules: ModuleServiceClient::new(calls),
        }
    }

    /// A new conversation.
    pub(crate) async fn converse(&self, system_prompt: Option<&str>) -> Conversation {
        let request = CreateConversationRequest {
            system_prompt: system_prompt.unwrap_or_default().to_owned(),
            ..CreateConversationRequest::default()
        };
        let mut client = self.conversations.clone();
        let id = client.create_conversation(request).await.expect("a conversation").into_inner().id;
        Conversation { client, id, waited: 0 }
    }

    /// The shortest call there is: what a fresh RPC costs.
    pub(crate) async fn ping(&mut self) -> Duration {
        let begin = Instant::now();
        self.diagnostics.get_server_info(GetServerInfoRequest::default()).await.expect("the server answers");
        begin.elapsed()
    }
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    client: ConversationServiceClient<Calls>,
    pub(crate) id: String,
    /// Turns that were told to wait although nothing else ran in the conversation.
    pub(crate) waited: usize,
}

impl Conversation {
    /// One turn, heard to its end.
    pub(crate) async fn ask(&mut self, prompt: &str) -> TurnTimes {
        let begin = Instant::now();
        let request = SendMessageRequest {
            conversation_id: self.id.clone(),
            prompt: prompt.to_owned(),
            ..SendMessageRequest::default()
        };
        let mut events = self.client.send_message(request).await.expect("the turn is accepted").into_inner();
        hear(begin, &mut events, &mut self.waited).await
    }
}

/// Hears a turn to its end; counts in `waited` how often it was told to wait.
pub(crate) async fn hear(begin: Instant, events: &mut Streaming<TurnEvent>, waited: &mut usize) -> TurnTimes {
    let (mut first_token, mut whole) = (None, None);
    while let Some(event) = events.message().await.expect("the stream holds") {
        match event.event.expect("an event says what happened") {
            Event::TextDelta(_) => {
                first_token.get_or_insert_with(|| begin.elapsed());
            }
            Event::Queued(_) => *waited += 1,
            Event::Completed(_) => whole = Some(begin.elapsed()),
            Event::Failed(failed) => panic!("the turn failed: {failed:?}"),
            _ => {}
        }
    }
    TurnTimes {
        first_token: first_token.expect("the answer has text"),
        whole: whole.expect("the turn was completed"),
    }
}
