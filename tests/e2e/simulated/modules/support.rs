//! Short words for what promises of modules need: descriptors, questions, conversations. It checks nothing of its own.

use claude_comms_proto::v1::{
    Conversation, GetConversationRequest, GetModuleRequest, ListModulesRequest, Module, QueryModuleRequest,
    RegisterModuleRequest, SubmitModuleQueryRequest, Turn, UnregisterModuleRequest,
};
use claude_comms_tests::{Client, client::Heard, within};
use serde_json::{Value, json};
use tonic::Status;

/// A descriptor with what every descriptor has, and these fields.
pub(in crate::simulated) fn descriptor(name: &str, version: &str, fields: Value) -> Value {
    let mut descriptor = json!({
        "schema": "claude-comms/module/v1",
        "name": name,
        "version": version,
        "description": format!("The module {name} of a test."),
    });
    descriptor.as_object_mut().unwrap().extend(fields.as_object().expect("fields are an object").clone());
    descriptor
}

/// A descriptor whose role is this.
pub(super) fn with_role(name: &str, version: &str, role: &str) -> Value {
    descriptor(name, version, json!({"context": {"role": role}}))
}

/// A module that counts things, with a capability whose answers are `{"count": integer}` and nothing else.
pub(in crate::simulated) fn counter() -> Value {
    let output = json!({
        "type": "object",
        "properties": {"count": {"type": "integer"}},
        "required": ["count"],
        "additionalProperties": false,
    });
    let capability = json!({"name": "count_things", "description": "Counts.", "output": output});
    descriptor("counter", "1.0.0", json!({"capabilities": [capability]}))
}

pub(super) async fn try_register(client: &Client, descriptor: &Value) -> Result<Module, Status> {
    let request = RegisterModuleRequest { descriptor: descriptor.to_string(), ..Default::default() };
    register_request(client, request).await
}

pub(super) async fn register_request(
    client: &Client,
    request: RegisterModuleRequest,
) -> Result<Module, Status> {
    within("a registration", client.modules.clone().register_module(request))
        .await
        .map(tonic::Response::into_inner)
}

pub(in crate::simulated) async fn register(client: &Client, descriptor: &Value) -> Module {
    try_register(client, descriptor).await.expect("the module is registered")
}

pub(super) async fn unregister(client: &Client, name: &str) -> Result<Module, Status> {
    let request = UnregisterModuleRequest { name: name.into() };
    client.modules.clone().unregister_module(request).await.map(tonic::Response::into_inner)
}

pub(super) async fn module(client: &Client, name: &str) -> Result<Module, Status> {
    revision(client, name, "", 0).await
}

pub(super) async fn revision(
    client: &Client,
    name: &str,
    version: &str,
    revision: u32,
) -> Result<Module, Status> {
    let request = GetModuleRequest { name: name.into(), version: version.into(), revision };
    client.modules.clone().get_module(request).await.map(tonic::Response::into_inner)
}

/// All modules, by pages of this size.
pub(super) async fn modules(client: &Client, page_size: i32) -> Vec<Module> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListModulesRequest { page_size, page_token, ..Default::default() };
        let page = client.modules.clone().list_modules(request).await.unwrap().into_inner();
        let most = if page_size == 0 { 100 } else { usize::try_from(page_size).unwrap() };
        assert!(page.modules.len() <= most, "{} modules in one page", page.modules.len());
        all.extend(page.modules);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

/// A question to a module.
pub(in crate::simulated) fn question(source: &str, target: &str, prompt: &str) -> QueryModuleRequest {
    QueryModuleRequest {
        source: source.into(),
        target: target.into(),
        prompt: prompt.into(),
        ..Default::default()
    }
}

/// The same question for an answer in the background.
pub(super) fn in_background(question: QueryModuleRequest) -> SubmitModuleQueryRequest {
    SubmitModuleQueryRequest {
        source: question.source,
        target: question.target,
        prompt: question.prompt,
        conversation_id: question.conversation_id,
        request_id: question.request_id,
        capability: question.capability,
        output_schema: question.output_schema,
        template: question.template,
        parameters: question.parameters,
        context_overrides: question.context_overrides,
        timeout: question.timeout,
    }
}

pub(in crate::simulated) async fn try_query(
    client: &Client,
    question: QueryModuleRequest,
) -> Result<Heard, Status> {
    let stream = within("an accepted question", client.modules.clone().query_module(question)).await?;
    Ok(Heard::new(stream.into_inner()))
}

/// Asks and hears the turn to its end.
pub(in crate::simulated) async fn query(client: &Client, question: QueryModuleRequest) -> Heard {
    let mut heard = try_query(client, question).await.expect("the question is accepted");
    heard.to_end().await;
    heard
}

pub(in crate::simulated) async fn try_submit_query(
    client: &Client,
    question: QueryModuleRequest,
) -> Result<Turn, Status> {
    let mut modules = client.modules.clone();
    within("an accepted question", modules.submit_module_query(in_background(question)))
        .await
        .map(tonic::Response::into_inner)
}

pub(super) async fn conversation(client: &Client, id: &str) -> Conversation {
    let request = GetConversationRequest { id: id.into() };
    client.conversations.clone().get_conversation(request).await.unwrap().into_inner()
}

/// JSON as parameters of a template.
pub(super) fn parameters(fields: Value) -> Option<prost_types::Struct> {
    let Value::Object(fields) = fields else { panic!("parameters are an object") };
    let fields = fields.into_iter().map(|(name, value)| (name, proto_value(value))).collect();
    Some(prost_types::Struct { fields })
}

fn proto_value(value: Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.into_iter().map(proto_value).collect() })
        }
        object @ Value::Object(_) => Kind::StructValue(parameters(object).unwrap()),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A protobuf value as JSON.
pub(super) fn json_of(value: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match value.kind.as_ref().expect("a value has a kind") {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(value) => json!(value),
        Kind::NumberValue(value) => json!(value),
        Kind::StringValue(text) => json!(text),
        Kind::ListValue(list) => list.values.iter().map(json_of).collect(),
        Kind::StructValue(map) => map
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), json_of(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
