//! How these tests register modules, ask between them, and find the context in a request. It knows the contract alone.

use claude_comms_proto::v1::{
    Conversation, GetConversationRequest, GetModuleRequest, Module, QueryModuleRequest,
    RegisterModuleRequest, TurnState,
};
use claude_comms_tests::{Reply, client::Heard, messages_api::Request};
use serde_json::{Value, json};

use crate::real_cli::stage::Stage;

/// A question of one built-in module to another, with nothing else said.
pub(super) fn marker_asks_arangodb(prompt: impl Into<String>) -> QueryModuleRequest {
    between("marker", "arangodb", prompt)
}

/// A question that makes a conversation.
pub(super) fn between(source: &str, target: &str, prompt: impl Into<String>) -> QueryModuleRequest {
    QueryModuleRequest {
        source: source.into(),
        target: target.into(),
        prompt: prompt.into(),
        ..QueryModuleRequest::default()
    }
}

/// A question that goes on with a conversation.
pub(super) fn further(conversation: &str, prompt: impl Into<String>) -> QueryModuleRequest {
    QueryModuleRequest {
        conversation_id: conversation.into(),
        prompt: prompt.into(),
        ..QueryModuleRequest::default()
    }
}

impl Stage {
    /// Asks, and leaves the stream to the test.
    pub(in crate::real_cli::modules) async fn open(&self, request: QueryModuleRequest) -> Heard {
        let stream = self.client.modules.clone().query_module(request).await;
        Heard::new(stream.expect("the question is accepted").into_inner())
    }

    /// Asks and hears the turn to its end.
    pub(super) async fn query_module(&self, request: QueryModuleRequest) -> Heard {
        let mut heard = self.open(request).await;
        heard.to_end().await;
        heard
    }

    /// Registers a descriptor; JSON is YAML.
    pub(super) async fn register(&self, descriptor: &Value) -> Module {
        let request =
            RegisterModuleRequest { descriptor: descriptor.to_string(), ..RegisterModuleRequest::default() };
        self.client.modules.clone().register_module(request).await.expect("a good descriptor").into_inner()
    }

    /// The whole descriptor of a module.
    pub(super) async fn descriptor(&self, name: &str) -> Value {
        let request = GetModuleRequest { name: name.into(), ..GetModuleRequest::default() };
        let module = self.client.modules.clone().get_module(request).await.unwrap().into_inner();
        serde_json::from_str(&module.descriptor_json).unwrap()
    }

    pub(super) async fn conversation(&self, id: &str) -> Conversation {
        let request = GetConversationRequest { id: id.into() };
        self.client.conversations.clone().get_conversation(request).await.unwrap().into_inner()
    }

    /// The request with this index, of all so far.
    pub(super) fn request(&self, index: usize) -> Request {
        self.api.requests().swap_remove(index)
    }
}

/// A stage whose CLI has a token in place of a key: there it keeps house by other switches.
pub(super) async fn with_oauth_token() -> Stage {
    Stage::with(|builder| {
        builder
            .environment("ANTHROPIC_API_KEY", "")
            .environment("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up")
    })
    .await
}

/// The conversation of a turn that has ended.
pub(super) fn conversation_of(heard: &Heard) -> &str {
    &heard.turn().conversation_id
}

/// Our block of the system prompt; the CLI has blocks of its own before it.
#[track_caller]
pub(super) fn context_of(request: &Request) -> String {
    let mut ours: Vec<String> =
        request.system_texts().into_iter().filter(|text| text.contains("<protocol>")).collect();
    assert_eq!(ours.len(), 1, "one block is ours: {:?}", request.system_texts());
    ours.remove(0)
}

/// A module that says a word of its own, the canary, in every text it has.
pub(super) fn module(name: &str, canary: &str, of_context: Value) -> Value {
    let mut descriptor = json!({
        "schema": "claude-comms/module/v1",
        "name": name,
        "version": "1.0.0",
        "description": format!("Keeps {canary}-description."),
        "capabilities": [{"name": "keep", "description": format!("Keeps {canary}-capability.")}],
        "data_types": [{"name": "thing", "media_type": "application/json", "description": format!("A {canary}-thing.")}],
        "context": {
            "role": format!("You are {canary}-role."),
            "instructions": format!("Say {canary}-instructions."),
            "constraints": [format!("Keep to {canary}-constraint.")],
            "glossary": {format!("{canary}-word"): format!("means {canary}-meaning")},
        },
    });
    merge(&mut descriptor, of_context);
    descriptor
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// An answer with words and this text as its data.
pub(super) fn answer(data: &str) -> String {
    format!("Here it is.\n\n```json\n{data}\n```\n")
}

/// The reply of [`answer`].
pub(super) fn data(data: &str) -> Reply {
    Reply::text(answer(data))
}

/// A turn that ended with these data.
#[track_caller]
pub(super) fn assert_data(heard: &Heard, data_json: &str) {
    let turn = heard.turn();
    assert_eq!(turn.state(), TurnState::Completed, "{turn:#?}");
    assert_eq!(turn.text, answer(data_json));
    assert_eq!(heard.text, turn.text, "the deltas since the last reset are the answer");
    assert_eq!(turn.data_json, data_json);
    assert_eq!((&turn.failure, turn.partial_text.as_str()), (&None, ""));
}

/// The same text, whatever its line breaks.
pub(super) fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
