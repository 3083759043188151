//! Compiles a JSON Schema that somebody else wrote: 2020-12 alone, nothing fetched, no regular expression that can run
//! away, bounded in depth and number. What a schema is used for is not this file's business.

mod cost;
#[cfg(test)]
mod tests;

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Most levels of nesting in a schema.
pub const MAX_DEPTH: usize = 64;
/// Most regular expressions in a schema.
pub const MAX_PATTERNS: usize = 128;

/// Most bytes of a compiled regular expression, and of its cache.
const REGEX_BYTES: usize = 512 * 1024;

/// Why a value is no schema that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SchemaProblem {
    /// Where in the schema, as `properties.rows`; empty means the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "at {}: {}", self.path, self.message)
        }
    }
}

/// Compiles a JSON Schema 2020-12.
///
/// # Errors
///
/// Not a schema, another draft, a `$ref` that leaves it, a regular expression that needs back-references or
/// look-around or is too large, or too much of all that.
pub fn compile(schema: &Value) -> Result<Validator, SchemaProblem> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Err(problem("", "a JSON Schema is an object or a boolean"));
    }
    let mut patterns = 0;
    walk(schema, Position::Schema, &mut Vec::new(), &mut patterns)?;
    cost::ends(&mut cost::Cost::new(schema), schema).map_err(|costly| problem("", costly.message()))?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        // The linear engine: no look-around and back-references, but also no back-tracking for hours.
        .with_pattern_options(PatternOptions::regex().size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES))
        .build(schema)
        .map_err(|error| problem(&readable(error.instance_path().as_str()), shortened(&error.to_string())))
}

/// Whether a value can be checked against a schema that [`compile`] accepted, in bounded time and stack.
///
/// # Errors
///
/// It cannot; why, in words.
pub fn affordable(schema: &Value, value: &Value) -> Result<(), &'static str> {
    cost::Cost::new(schema).of(schema, value, 0).map(|_| ()).map_err(cost::Costly::message)
}

/// A JSON pointer as people write it: `/rows/3/name` is `rows[3].name`.
pub fn readable(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push('[');
            path.push_str(&step);
            path.push(']');
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&step);
    }
    path
}

fn problem(path: &str, message: impl Into<String>) -> SchemaProblem {
    SchemaProblem { path: path.to_owned(), message: message.into() }
}

fn shortened(text: &str) -> String {
    const MAX: usize = 300;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX).collect();
    short.push('…');
    short
}

/// What a value in a schema document is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Schema,
    /// A map of names to schemas, such as `properties`.
    Schemas,
    /// Data, such as `const`.
    Data,
}

impl Position {
    fn of(self, key: &str) -> Self {
        match (self, key) {
            (Self::Data, _) | (Self::Schema, "const" | "enum" | "default" | "examples") => Self::Data,
            (
                Self::Schema,
                "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions",
            ) => Self::Schemas,
            _ => Self::Schema,
        }
    }
}

/// Checks what the compiler does not: depth, draft, number of patterns, and references that leave the document.
fn walk(
    value: &Value,
    position: Position,
    path: &mut Vec<String>,
    patterns: &mut usize,
) -> Result<(), SchemaProblem> {
    if path.len() > MAX_DEPTH {
        return Err(problem("", format!("a schema has at most {MAX_DEPTH} levels")));
    }
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                if position == Position::Schema {
                    keyword(key, value, path, patterns)?;
                }
                path.push(key.replace('~', "~0").replace('/', "~1"));
                walk(value, position.of(key), path, patterns)?;
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                walk(item, position, path, patterns)?;
                path.pop();
            }
        }
        _ => {}
    }
    if *patterns > MAX_PATTERNS {
        return Err(problem("", format!("a schema has at most {MAX_PATTERNS} regular expressions")));
    }
    Ok(())
}

fn keyword(key: &str, value: &Value, path: &[String], patterns: &mut usize) -> Result<(), SchemaProblem> {
    let here = || readable(&format!("/{}", path.join("/")));
    match (key, value) {
        ("$schema", Value::String(draft))
            if draft.trim_end_matches('#') != "https://json-schema.org/draft/2020-12/schema" =>
        {
            return Err(problem(&here(), format!("`{}` is not JSON Schema 2020-12", shortened(draft))));
        }
        ("$ref" | "$dynamicRef", Value::String(target)) if !target.starts_with('#') => {
            let message = format!(
                "`{}` points outside; only references within the schema are followed, such as `#/$defs/name`",
                shortened(target)
            );
            return Err(problem(&here(), message));
        }
        ("$id", Value::String(_)) if !path.is_empty() => {
            return Err(problem(&here(), "a schema within a schema has no `$id` of its own; use `$anchor`"));
        }
        ("pattern", Value::String(_)) => *patterns += 1,
        ("patternProperties", Value::Object(of)) => *patterns += of.len(),
        _ => {}
    }
    Ok(())
}
