//! Checks of requests. Every bad field is collected, so that a caller mends all of them at once.

use std::{collections::HashMap, str::FromStr, time::Duration};

use claude_comms_context::{Overrides, Scene};
use claude_comms_descriptors::is_name;
use claude_comms_model::{IdMatch, RequestId, Timestamp};
use claude_comms_proto::v1::ContextOverrides;
use serde_json::{Map, Value};

use super::status::ApiError;

/// Most items of a page, whatever was asked for: each has some 16 KiB at most, and a message must fit every client.
const MOST_IN_PAGE: usize = 200;
/// Longest system prompt, bytes: a Conversation must fit one message.
pub(super) const SYSTEM_PROMPT_BYTES: usize = 512 << 10;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Check {
    problems: Vec<(String, String)>,
}

impl Check {
    /// Notes a problem.
    pub(super) fn bad(&mut self, field: &str, problem: impl Into<String>) {
        self.problems.push((field.to_owned(), problem.into()));
    }

    /// An id that must be there.
    pub(super) fn id<T: FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.is_empty() {
            self.bad(field, "is required; give the UUID of an existing one");
            return None;
        }
        let id = text.parse().ok();
        if id.is_none() {
            self.bad(field, format!("is not a UUID: {}", shortened(text)));
        }
        id
    }

    /// A name of an instance; empty is none.
    pub(super) fn name(&mut self, field: &str, text: &str) {
        if !text.is_empty() && !is_name(text) {
            self.bad(field, format!("must match ^[a-z][a-z0-9_-]{{0,62}}$, not {}", shortened(text)));
        }
    }

    /// A prompt.
    pub(super) fn prompt(&mut self, text: &str, limit_bytes: usize) {
        if text.is_empty() {
            self.bad("prompt", "must not be empty");
        } else if text.len() > limit_bytes {
            self.bad(
                "prompt",
                format!("has {} bytes, the limit is {limit_bytes} (limits.prompt_bytes)", text.len()),
            );
        } else if text.contains('\0') {
            self.bad("prompt", "must not contain NUL characters");
        }
    }

    /// A prompt that may be empty: some templates need none.
    pub(super) fn optional_prompt(&mut self, text: &str, limit_bytes: usize) {
        if !text.is_empty() {
            self.prompt(text, limit_bytes);
        }
    }

    /// A module's or capability's name; empty is none.
    pub(super) fn module(&mut self, field: &str, text: &str) {
        self.name(field, text);
    }

    /// A module's name that must be there.
    pub(super) fn needed_module(&mut self, field: &str, text: &str) {
        if text.is_empty() {
            self.bad(field, "is required; give the name of a module");
        }
        self.name(field, text);
    }

    /// A template's name, which may say its layer; empty is none.
    pub(super) fn template(&mut self, text: &str) {
        let name = text.strip_prefix("builtin/").or_else(|| text.strip_prefix("dirs/")).unwrap_or(text);
        if !text.is_empty() && !is_name(name) {
            self.bad("template", format!("must be the name of a template, not {}", shortened(text)));
        } else if name == "context" {
            self.bad("template", "context makes the system prompt and is no message's template");
        }
    }

    /// A template's parameters.
    pub(super) fn parameters(&mut self, given: Option<prost_types::Struct>) -> Map<String, Value> {
        let mut taken = Map::new();
        for (name, value) in given.into_iter().flat_map(|given| given.fields) {
            match json_of(value, 0) {
                Ok(value) => {
                    taken.insert(name, value);
                }
                Err(problem) => self.bad(&format!("parameters.{}", shortened(&name)), problem),
            }
        }
        taken
    }

    /// What is changed in a context.
    pub(super) fn overrides(&mut self, given: Option<ContextOverrides>) -> Overrides {
        let Some(given) = given else { return Overrides::default() };
        let overrides = Overrides {
            source_role: given.source_role,
            target_role: given.target_role,
            relationship: given.relationship,
            instructions: given.instructions,
            constraints: given.constraints,
            glossary: given.glossary.into_iter().collect(),
            omit_sections: given.omit_sections,
            token_budget: given.token_budget,
        };
        let scene = Scene {
            source: None,
            target: None,
            relationships: Vec::new(),
            templates: Vec::new(),
            overrides,
            token_budget: 0,
        };
        for (field, problem) in scene.problems() {
            self.bad(&format!("context_overrides.{field}"), problem);
        }
        scene.overrides
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&mut self, field: &str, text: &str, limit_bytes: usize) {
        if text.len() > limit_bytes {
            self.bad(field, format!("has {} bytes, the limit is {limit_bytes}", text.len()));
        } else if text.contains('\0') {
            self.bad(field, "must not contain NUL characters");
        }
    }

    /// A model's alias or name; empty is none. It becomes an argument of the CLI.
    pub(super) fn model(&mut self, text: &str) {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:/@[]-".contains(&b);
        if !text.is_empty() && (text.len() > 256 || text.starts_with('-') || !text.bytes().all(fits)) {
            self.bad("model", format!("must be an alias or name such as sonnet, not {}", shortened(text)));
        }
    }

    /// A point in time; unset is none.
    pub(super) fn time(&mut self, field: &str, given: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let given = given?;
        let micros = i64::from(given.nanos) / 1000;
        let time = given.seconds.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
        if time.is_none() || !(0..1_000_000_000).contains(&given.nanos) {
            self.bad(field, "is not a time between the years 1 and 9999");
            return None;
        }
        time.map(Timestamp)
    }

    /// Labels.
    pub(super) fn labels(&mut self, labels: &HashMap<String, String>) {
        if labels.len() > 32 {
            self.bad("labels", format!("has {} entries, the limit is 32", labels.len()));
        }
        for (key, value) in labels {
            if key.is_empty() || key.len() > 63 {
                self.bad("labels", format!("key {} must have 1 to 63 characters", shortened(key)));
            }
            if value.len() > 256 {
                self.bad(
                    "labels",
                    format!("value of {} has {} bytes, the limit is 256", shortened(key), value.len()),
                );
            }
        }
    }

    /// The request's id, if one is given.
    pub(super) fn request_id(&mut self, text: &str) -> Option<RequestId> {
        if text.is_empty() {
            return None;
        }
        let id = text.parse().ok();
        if id.is_none() {
            self.bad("request_id", format!("is not a UUID: {}", shortened(text)));
        }
        id
    }

    /// A turn's time; the server's limit where none is given.
    pub(super) fn timeout(&mut self, given: Option<&prost_types::Duration>, limit: Duration) -> Duration {
        let Some(given) = given else { return limit };
        match Duration::try_from(*given) {
            Ok(span) if !span.is_zero() && span <= limit => span,
            Ok(span) if span > limit => {
                self.bad(
                    "timeout",
                    format!("is longer than the server's limit of {} s (pool.turn_timeout)", limit.as_secs()),
                );
                limit
            }
            _ => {
                self.bad("timeout", "must be more than zero");
                limit
            }
        }
    }

    /// Part of an id; empty is none.
    pub(super) fn id_match(&mut self, text: &str) -> Option<IdMatch> {
        if text.is_empty() {
            return None;
        }
        let fragment = IdMatch::new(text);
        if fragment.is_none() {
            self.bad(
                "id_match",
                format!("must be at least 4 hexadecimal digits of an id, not {}", shortened(text)),
            );
        }
        fragment
    }

    /// A page's size.
    pub(super) fn page_size(&mut self, size: i32) -> usize {
        match size {
            0 => 100,
            1..=1000 => usize::try_from(size).unwrap_or(MOST_IN_PAGE).min(MOST_IN_PAGE),
            _ => {
                self.bad("page_size", format!("must be 0 to 1000, not {size}"));
                100
            }
        }
    }

    /// Everything was fine, or all that was not.
    pub(super) fn done(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::BadFields(self.problems)) }
    }

    /// As [`Self::done`], for a value that was checked on the way.
    pub(super) fn need<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) => self.done().map(|()| value),
            None => Err(ApiError::BadFields(self.problems)),
        }
    }
}

/// A protobuf value as JSON. Whole numbers come as whole numbers.
fn json_of(value: prost_types::Value, depth: usize) -> Result<Value, &'static str> {
    use prost_types::value::Kind;
    if depth > 32 {
        return Err("is nested more than 32 deep");
    }
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => number_of(number).ok_or("is not a finite number")?,
        Some(Kind::ListValue(list)) => {
            list.values.into_iter().map(|value| json_of(value, depth + 1)).collect::<Result<_, _>>()?
        }
        Some(Kind::StructValue(map)) => map
            .fields
            .into_iter()
            .map(|(name, value)| Ok((name, json_of(value, depth + 1)?)))
            .collect::<Result<Map<_, _>, &'static str>>()?
            .into(),
    })
}

fn number_of(number: f64) -> Option<Value> {
    /// 2^53: up to here every whole number is a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "checked the line before")]
        return Some(Value::from(number as i64));
    }
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// A value for a message, never the whole of a long one.
pub(super) fn shortened(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}
