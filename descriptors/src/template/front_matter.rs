//! The YAML at a template file's head: version, description, prompt rule, parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::file::{Parameter, PromptRule, RESERVED, TemplateProblem};
use super::schema;
use super::syntax::near;
use crate::check::limits;

/// The keys of front matter.
const KEYS: [&str; 4] = ["version", "description", "prompt", "parameters"];

/// Most parameters of a template.
const MAX_PARAMETERS: usize = 64;

/// What front matter says.
pub(super) struct FrontMatter {
    pub(super) version: String,
    pub(super) description: String,
    pub(super) prompt: Option<PromptRule>,
    pub(super) parameters: BTreeMap<String, Parameter>,
}

/// Splits a file into front matter (without its marks, empty if there is none), body, and the body's first line.
pub(super) fn split(text: &str) -> Result<(&str, &str, u32), TemplateProblem> {
    let Some(rest) =
        text.strip_prefix("---").and_then(|rest| rest.trim_start_matches([' ', '\t']).strip_prefix('\n'))
    else {
        return Ok(("", text, 1));
    };
    let start = text.len() - rest.len();
    let mut at = start;
    for (index, line) in (2_u32..).zip(rest.split_inclusive('\n')) {
        if line.trim_end() == "---" {
            return Ok((&text[start..at], &text[at + line.len()..], index + 1));
        }
        at += line.len();
    }
    Err(TemplateProblem::new(1, "the front matter that starts here is not closed by a line `---`"))
}

/// Reads front matter; its first line is the file's second.
pub(super) fn read(head: &str) -> Result<FrontMatter, TemplateProblem> {
    let mut keys = match yaml(head)? {
        Value::Null => Map::new(),
        Value::Object(keys) => keys,
        _ => return Err(TemplateProblem::new(2, "front matter must be a mapping, such as `version: 1.0.0`")),
    };
    if let Some(key) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let message = format!("unknown key `{key}`{}", near(key, &KEYS));
        return Err(TemplateProblem::new(line_of(head, key), message));
    }
    let problem = |key: &str, message: String| TemplateProblem::new(line_of(head, key), message);
    let version = match keys.remove("version") {
        None => "1.0.0".to_owned(),
        Some(Value::String(text)) if text.len() > limits::VERSION_BYTES => {
            let message = format!("version has {} bytes; at most {}", text.len(), limits::VERSION_BYTES);
            return Err(problem("version", message));
        }
        Some(Value::String(text)) => {
            semver::Version::parse(&text).map_err(|error| {
                problem("version", format!("version `{text}` is not of the form 1.2.3: {error}"))
            })?;
            text
        }
        Some(other) => {
            return Err(problem("version", format!("version must be of the form 1.2.3, not `{other}`")));
        }
    };
    let description = match keys.remove("description") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.len() > limits::DESCRIPTION_BYTES => {
            let message =
                format!("description has {} bytes; at most {}", text.len(), limits::DESCRIPTION_BYTES);
            return Err(problem("description", message));
        }
        Some(Value::String(text)) => text,
        Some(_) => return Err(problem("description", "description must be text".into())),
    };
    let prompt = match keys.remove("prompt") {
        None => None,
        Some(Value::String(rule)) if rule == "required" => Some(PromptRule::Required),
        Some(Value::String(rule)) if rule == "optional" => Some(PromptRule::Optional),
        Some(Value::String(rule)) if rule == "unused" => Some(PromptRule::Unused),
        Some(other) => {
            let message = format!("prompt must be required, optional or unused, not {other}");
            return Err(problem("prompt", message));
        }
    };
    let entries = match keys.remove("parameters") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            return Err(problem(
                "parameters",
                "parameters must be a mapping of names to JSON Schemas".into(),
            ));
        }
    };
    if entries.len() > MAX_PARAMETERS {
        let message =
            format!("a template has at most {MAX_PARAMETERS} parameters, this one has {}", entries.len());
        return Err(problem("parameters", message));
    }
    let mut parameters = BTreeMap::new();
    for (name, entry) in entries {
        match parameter(&name, entry) {
            Ok(parameter) => {
                parameters.insert(name, parameter);
            }
            Err(message) => return Err(problem(&name, format!("parameter `{name}`: {message}"))),
        }
    }
    Ok(FrontMatter { version, description, prompt, parameters })
}

fn parameter(name: &str, entry: Value) -> Result<Parameter, String> {
    let mut bytes = name.bytes();
    let head = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let tail = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !head || !tail || name.len() > 63 {
        return Err("a name is a-z followed by at most 62 of a-z, 0-9 and _".into());
    }
    if RESERVED.contains(&name) {
        return Err("templates have a variable of this name already; choose another".into());
    }
    let mut keys = match entry {
        Value::Null => Map::new(),
        Value::Object(keys) => keys,
        _ => return Err("must be a JSON Schema, such as `{type: string}`".into()),
    };
    let may_be_absent = match keys.get("required") {
        Some(Value::Bool(required)) => {
            let absent = !required;
            keys.remove("required");
            absent
        }
        _ => false,
    };
    let default = keys.get("default").cloned();
    let description = keys.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    let schema = Value::Object(keys);
    let validator = schema::compile(&schema).map_err(|problem| problem.to_string())?;
    if let Some(default) = &default {
        schema::affordable(&schema, default)
            .map_err(|why| format!("its default cannot be checked against its schema ({why})"))?;
        if let Err(error) = validator.validate(default) {
            return Err(format!("its default does not fit its schema: {error}"));
        }
    }
    let required = default.is_none() && !may_be_absent;
    Ok(Parameter { schema, default, required, description })
}

fn yaml(head: &str) -> Result<Value, TemplateProblem> {
    if head.trim().is_empty() {
        return Ok(Value::Null);
    }
    // A template is small, so aliases that make much of little are never meant.
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: 64, max_nodes: 20_000, max_aliases: 64, max_documents: 1 },
        with_snippet: false,
    };
    serde_yaml::from_str_with_options(head, options).map_err(|error: serde_yaml::Error| {
        let line = error.location().and_then(|at| u32::try_from(at.line()).ok()).filter(|line| *line > 0);
        let told = error.to_string();
        // The parser counts lines from the front matter's first, which would be taken for the file's.
        let told = told.split_once(" at line ").map_or(told.as_str(), |(told, _)| told);
        TemplateProblem::new(line.map(|line| line + 1), format!("front matter is not YAML: {told}"))
    })
}

/// The file's line on which a key of front matter stands.
fn line_of(head: &str, key: &str) -> Option<u32> {
    let found = |line: &str| {
        let line = line.trim_start().trim_start_matches(['"', '\'', '{']);
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    (2_u32..).zip(head.lines()).find(|(_, line)| found(line)).map(|(index, _)| index)
}
