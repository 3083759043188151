//! Shape: keys and types, as the format's JSON Schema says, in words for people. Rules are its neighbours'.

use std::sync::LazyLock;

use jsonschema::{
    Draft, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use crate::{
    check::findings::Findings,
    data_schema::{explain, type_words},
    format::json_schema,
    node::{At, Content, child},
    words::{did_you_mean, quoted},
};

static FORMAT: LazyLock<(Value, Validator)> = LazyLock::new(|| {
    let schema = json_schema();
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(&schema)
        .expect("the format's schema is a schema");
    (schema, validator)
});

pub(super) fn check(root: &At<'_>, findings: &mut Findings) {
    let value = root.node.to_value();
    let mut left = Vec::new();
    for error in FORMAT.1.iter_errors(&value) {
        let at = root.follow(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    unknown_key(&at, key, &error, findings);
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let message = match remedy(key) {
                    Some(remedy) => format!("missing; {remedy}"),
                    None => "missing; it is required".to_owned(),
                };
                findings.problem_at(child(&at.path, key), at.node.place, message);
            }
            ValidationErrorKind::Type { kind } => left.push((at.clone(), wrong_type(&at, kind))),
            _ => left.push((at, explain(&error))),
        }
    }
    for (at, message) in left {
        if !findings.covers(&at.path) {
            findings.problem(&at, message);
        }
    }
}

fn unknown_key(at: &At<'_>, key: &str, error: &ValidationError<'_>, findings: &mut Findings) {
    let holder = error.schema_path().as_str().trim_end_matches("/additionalProperties");
    let known: Vec<&str> = FORMAT
        .0
        .pointer(&format!("{holder}/properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let otherwise = format!("known here: {}", known.join(", "));
    let message = format!("unknown key; {}", did_you_mean(key, known, &otherwise));
    let place = at.node.entry(key).map_or(at.node.place, |entry| entry.place);
    findings.problem_at(child(&at.path, key), place, message);
}

fn remedy(key: &str) -> Option<&'static str> {
    Some(match key {
        "schema" => "begin with \"schema: claude-comms/module/v1\"",
        "name" => "give it a name of lower-case letters, digits, _ and -, such as \"arangodb\"",
        "version" => "write one such as \"1.0.0\"",
        "description" => "say in one to five sentences what it is and does",
        "module" => "write the other module's name",
        "kind" => {
            "write how this module stands to the other one: consumes (takes what it makes), produces (makes what it takes), depends_on or peer"
        }
        _ => return None,
    })
}

fn wrong_type(at: &At<'_>, kind: &TypeKind) -> String {
    let wanted = type_words(kind);
    // Of what may be null it would mislead to speak first.
    let wanted = wanted.trim_start_matches("null or ").trim_end_matches(" or null");
    let spelling = &at.node.spelling;
    match (&at.node.content, wanted) {
        (Content::Null, _) => format!("nothing here; write {wanted}, or leave the key out"),
        (Content::Number(_), "text") => {
            let text = if at.path == "version" { three_parts(spelling) } else { spelling.clone() };
            format!("{spelling} is a number here; write it in quotes: {text:?}")
        }
        (Content::Bool(_), "text") => {
            format!("{spelling} is a truth value here; write it in quotes: {spelling:?}")
        }
        (Content::Text(text), "true or false") => {
            format!("{} is text here; write true or false, without quotes", quoted(text))
        }
        (Content::Text(text), "a whole number" | "a number") => {
            format!("{} is text here; write {wanted}, without quotes", quoted(text))
        }
        (Content::Text(text), "a list") => {
            format!("{} is text here; write a list: [{}]", quoted(text), quoted(text))
        }
        (Content::Map(_), "text") => {
            "a mapping is here; write text, in quotes if it has \": \" in it".to_owned()
        }
        (content, _) => format!("must be {wanted}, not {}", kind_words(content, spelling)),
    }
}

fn kind_words(content: &Content, spelling: &str) -> String {
    match content {
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
        Content::Text(text) => quoted(text),
        _ => spelling.to_owned(),
    }
}

/// `1` and `1.0` as versions: `1.0.0`.
fn three_parts(spelling: &str) -> String {
    match spelling.split('.').count() {
        1 => format!("{spelling}.0.0"),
        2 => format!("{spelling}.0"),
        _ => spelling.to_owned(),
    }
}
