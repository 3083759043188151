//! Records to messages. Here, and only here, texts are cut so that every message fits every client.

use claude_comms_model as model;
use claude_comms_model::{ConversationState, InstanceState, Timestamp, TurnState, TurnStateKind, Usage};
use claude_comms_proto::v1;

use crate::{
    dispatcher::InstanceView,
    health::{Condition, Finding},
};

/// Where a record is shown: alone or in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Texts are cut at 512 KiB.
    Alone,
    /// Texts are cut at 4 KiB.
    InList,
}

impl Shown {
    fn limit_bytes(self) -> usize {
        match self {
            Self::Alone => 512 << 10,
            Self::InList => 4 << 10,
        }
    }
}

/// A text of at most so many bytes, and whether it was cut.
pub(super) fn cut(text: &str, limit_bytes: usize) -> (String, bool) {
    if text.len() <= limit_bytes {
        return (text.to_owned(), false);
    }
    let mut end = limit_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (text[..end].to_owned(), true)
}

pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1_000_000),
        nanos: i32::try_from(time.0.rem_euclid(1_000_000) * 1000).unwrap_or(0),
    }
}

pub(super) fn usage(usage: Usage) -> v1::Usage {
    let tokens = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    v1::Usage {
        input_tokens: tokens(usage.input_tokens),
        output_tokens: tokens(usage.output_tokens),
        cache_creation_input_tokens: tokens(usage.cache_creation_input_tokens),
        cache_read_input_tokens: tokens(usage.cache_read_input_tokens),
    }
}

pub(super) fn turn_state(kind: TurnStateKind) -> v1::TurnState {
    match kind {
        TurnStateKind::Queued => v1::TurnState::Queued,
        TurnStateKind::Running => v1::TurnState::Running,
        TurnStateKind::Completed => v1::TurnState::Completed,
        TurnStateKind::Failed => v1::TurnState::Failed,
        TurnStateKind::Cancelled => v1::TurnState::Cancelled,
    }
}

/// The kind behind a wire value; `None` for UNSPECIFIED.
pub(super) fn turn_state_kind(state: v1::TurnState) -> Option<TurnStateKind> {
    match state {
        v1::TurnState::Unspecified => None,
        v1::TurnState::Queued => Some(TurnStateKind::Queued),
        v1::TurnState::Running => Some(TurnStateKind::Running),
        v1::TurnState::Completed => Some(TurnStateKind::Completed),
        v1::TurnState::Failed => Some(TurnStateKind::Failed),
        v1::TurnState::Cancelled => Some(TurnStateKind::Cancelled),
    }
}

pub(super) fn turn(turn: &model::Turn, shown: Shown) -> v1::Turn {
    let mut truncated_fields = Vec::new();
    let mut take = |field: &str, text: &str| {
        let (text, was_cut) = cut(text, shown.limit_bytes());
        if was_cut {
            truncated_fields.push(field.to_owned());
        }
        text
    };
    let prompt = take("prompt", &turn.prompt);
    let (mut text, mut partial_text, mut failure) = (String::new(), String::new(), None);
    let mut data_json = String::new();
    match &turn.state {
        TurnState::Queued | TurnState::Running { .. } => {}
        TurnState::Completed { text: answer, data_json: data } => {
            text = take("text", answer);
            if let Some(data) = data.as_deref().filter(|_| shown == Shown::Alone) {
                data_json = take("data_json", data);
            }
        }
        TurnState::Failed { failure: why, partial_text: partial } => {
            partial_text = take("partial_text", partial);
            let message = cut(&why.message, shown.limit_bytes().min(16 << 10)).0;
            failure = Some(v1::TurnFailure { reason: why.reason.as_str().to_owned(), message });
        }
        TurnState::Cancelled { failure: why, partial_text: partial } => {
            partial_text = take("partial_text", partial);
            let message = cut(&why.message, shown.limit_bytes().min(16 << 10)).0;
            failure = Some(v1::TurnFailure { reason: why.reason.as_str().to_owned(), message });
        }
    }
    let asked = turn.asked.as_ref().filter(|_| shown == Shown::Alone);
    let message = asked.map(|asked| take("message", &asked.message)).unwrap_or_default();
    let data = data(&data_json, &mut truncated_fields);
    v1::Turn {
        data,
        data_json,
        message,
        template: asked.map(|asked| asked.template.clone()).unwrap_or_default(),
        capability: asked.map(|asked| asked.capability.clone()).unwrap_or_default(),
        id: turn.id.to_string(),
        conversation_id: turn.conversation_id.to_string(),
        state: turn_state(turn.state.kind()).into(),
        prompt,
        text,
        usage: Some(usage(turn.usage)),
        cost_usd: turn.cost_usd,
        instance_id: turn.instance_id.map(|id| id.to_string()).unwrap_or_default(),
        attempt: turn.attempt,
        in_context: turn.in_context,
        failure,
        partial_text,
        truncated_fields,
        request_id: turn.request_id.to_string(),
        create_time: Some(timestamp(turn.create_time)),
        start_time: turn.start_time.map(timestamp),
        first_token_time: turn.first_token_time.map(timestamp),
        end_time: turn.end_time.map(timestamp),
        server_id: turn.server_id.to_string(),
    }
}

/// Levels that decoders take: each is three messages deep, and most stop at a hundred.
const DATA_DEPTH: usize = 25;
/// Values that keep a turn's message below 3.5 MiB, whatever else is in it: one takes up to 11 bytes beside its text.
const DATA_VALUES: usize = 50_000;

/// The data as a protobuf value, where every client can take it; else it is among the truncated fields.
fn data(data_json: &str, truncated_fields: &mut Vec<String>) -> Option<prost_types::Value> {
    if data_json.is_empty() {
        return None;
    }
    let whole = !truncated_fields.iter().any(|field| field == "data_json");
    let fits = |json: &serde_json::Value| {
        let mut values = 0;
        depth(json, &mut values) <= DATA_DEPTH && values <= DATA_VALUES
    };
    let parsed = serde_json::from_str(data_json).ok().filter(|json| whole && fits(json));
    if parsed.is_none() {
        truncated_fields.push("data".to_owned());
    }
    parsed.map(value)
}

/// How deep a value is, and how many it holds. What was parsed is at most 128 deep.
fn depth(json: &serde_json::Value, values: &mut usize) -> usize {
    use serde_json::Value;
    *values += 1;
    let below = match json {
        Value::Array(items) => items.iter().map(|item| depth(item, values)).max(),
        Value::Object(map) => map.values().map(|item| depth(item, values)).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    1 + below.unwrap_or(0)
}

/// JSON as a protobuf value; its numbers are doubles.
fn value(json: serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    use serde_json::Value;
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.into_iter().map(value).collect() })
        }
        Value::Object(map) => Kind::StructValue(prost_types::Struct {
            fields: map.into_iter().map(|(name, item)| (name, value(item))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A module's version as people write it: `1.2.0`, or `1.2.0#2` for a later content of it.
pub(super) fn module_version(module: &model::ModuleRef) -> String {
    match module.revision {
        0 | 1 => module.version.clone(),
        revision => format!("{}#{revision}", module.version),
    }
}

pub(super) fn conversation(conversation: &model::Conversation, shown: Shown) -> v1::Conversation {
    let name = |module: &Option<model::ModuleRef>| {
        module.as_ref().map(|module| module.name.clone()).unwrap_or_default()
    };
    let version = |module: &Option<model::ModuleRef>| module.as_ref().map(module_version).unwrap_or_default();
    let state = match conversation.state {
        ConversationState::Active => v1::ConversationState::Active,
    };
    v1::Conversation {
        id: conversation.id.to_string(),
        title: conversation.title.clone(),
        state: state.into(),
        turn_count: conversation.turn_count,
        usage: Some(usage(conversation.usage)),
        cost_usd: conversation.cost_usd,
        labels: conversation.labels.clone().into_iter().collect(),
        create_time: Some(timestamp(conversation.create_time)),
        update_time: Some(timestamp(conversation.update_time)),
        source_module: name(&conversation.source_module),
        target_module: name(&conversation.target_module),
        source_version: version(&conversation.source_module),
        target_version: version(&conversation.target_module),
        context_revision: conversation.scene_revision,
        system_prompt: cut(&conversation.system_prompt, shown.limit_bytes()).0,
        model: conversation.model.clone().unwrap_or_default(),
        last_sequence: conversation.last_sequence,
    }
}

pub(super) fn health(finding: &Finding) -> v1::InstanceHealth {
    let status = match finding.condition {
        Condition::Healthy => v1::InstanceHealthStatus::Healthy,
        Condition::Degraded => v1::InstanceHealthStatus::Degraded,
        Condition::Unhealthy => v1::InstanceHealthStatus::Unhealthy,
    };
    let facts = finding.facts;
    v1::InstanceHealth {
        status: status.into(),
        checked_time: Some(timestamp(finding.checked_time)),
        reason: finding.reason.clone(),
        response_time: finding.response_time.and_then(|time| time.try_into().ok()),
        process_state: facts.map(|facts| facts.state.to_string()).unwrap_or_default(),
        processes: facts.map_or(0, |facts| facts.processes),
        rss_bytes: facts.map_or(0, |facts| facts.rss_bytes),
        pss_bytes: facts.map_or(0, |facts| facts.pss_bytes),
    }
}

pub(super) fn instance_state(state: InstanceState) -> v1::InstanceState {
    match state {
        InstanceState::Starting => v1::InstanceState::Starting,
        InstanceState::Idle => v1::InstanceState::Idle,
        InstanceState::Busy => v1::InstanceState::Busy,
        InstanceState::Paused => v1::InstanceState::Paused,
        InstanceState::Dormant => v1::InstanceState::Dormant,
        InstanceState::Stopping => v1::InstanceState::Stopping,
        InstanceState::Stopped => v1::InstanceState::Stopped,
    }
}

pub(super) fn instance_exit(exit: &model::InstanceExit, shown: Shown) -> v1::InstanceExit {
    v1::InstanceExit {
        code: exit.code.unwrap_or(-1),
        reason: exit.reason.clone(),
        stderr: cut(&exit.stderr, shown.limit_bytes().min(8 << 10)).0,
        time: Some(timestamp(exit.time)),
    }
}

pub(super) fn instance(view: &InstanceView, shown: Shown) -> v1::Instance {
    let record = &view.record;
    v1::Instance {
        id: record.id.to_string(),
        name: record.name.clone(),
        state: instance_state(view.state).into(),
        backend: record.backend.clone(),
        model: record.model.clone().unwrap_or_default(),
        conversation_id: if record.conversation_id.0.is_nil() {
            String::new()
        } else {
            record.conversation_id.to_string()
        },
        process_id: view.process_id,
        process_generation: record.process_generation,
        turn_count: record.turn_count,
        usage: Some(usage(record.usage)),
        cost_usd: record.cost_usd,
        memory_bytes: claude_comms_supervisor::resident_bytes(view.process_id),
        health: view.health.as_ref().map(health),
        create_time: Some(timestamp(record.create_time)),
        last_active_time: Some(timestamp(record.last_active_time)),
        exit: record.exit.as_ref().map(|exit| instance_exit(exit, shown)),
        pinned: record.pinned,
        server_id: record.server_id.to_string(),
        pause_pending: view.pause_pending,
        spare: view.spare,
    }
}
