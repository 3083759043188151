//! The schema that an answer's data must fit.

use claude_comms_descriptors::template::schema;
use jsonschema::Validator;
use serde_json::Value;

pub use claude_comms_descriptors::template::schema::SchemaProblem;

use super::finding::{Finding, rank};
use super::json;
use crate::templates::escape;

/// Most bytes of a schema's text.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// Most findings of one answer.
pub(super) const FINDINGS: usize = 20;
/// Data of more parts than this is told one finding: the validator makes all of them or one.
const LARGE: usize = 50_000;

/// A JSON Schema 2020-12 that an answer's data must fit.
#[derive(Debug, Clone)]
pub struct OutputSchema {
    value: Value,
    text: String,
    validator: Validator,
}

impl OutputSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    ///
    /// Too large or too deep, no JSON Schema 2020-12, a reference that leaves it, a regular expression that needs
    /// look-around or back-references, or one that would take for ever.
    pub fn compile(schema: &Value) -> Result<Self, SchemaProblem> {
        let text = escape::json_text(schema);
        // Indentation is ours, so that the size is that of the compact text.
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(too_large(bytes));
        }
        let validator = schema::compile(schema)?;
        Ok(Self { value: schema.clone(), text, validator })
    }

    /// Compiles a schema that is JSON text.
    ///
    /// # Errors
    ///
    /// It is not JSON, has a name twice, or those of [`OutputSchema::compile`].
    pub fn parse(text: &str) -> Result<Self, SchemaProblem> {
        if text.len() > 2 * MAX_SCHEMA_BYTES {
            return Err(too_large(text.len()));
        }
        let (value, duplicates) = json::parse(text).map_err(|problem| SchemaProblem {
            path: String::new(),
            message: format!("line {}: {}", problem.line, problem.message),
        })?;
        match duplicates.into_iter().next() {
            Some(Finding { path, message }) => Err(SchemaProblem { path, message }),
            None => Self::compile(&value),
        }
    }

    /// The schema as pretty JSON for a prompt; it holds none of our tags.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The schema.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What in a value does not fit, worst first, at most 20; empty means that it fits.
    pub fn findings(&self, value: &Value) -> Vec<Finding> {
        if let Err(why) = schema::affordable(&self.value, value) {
            return vec![Finding::new("", &format!("cannot be checked: {why}"))];
        }
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        if parts(value, LARGE) >= LARGE {
            return self.validator.validate(value).err().iter().map(Finding::of).collect();
        }
        let mut errors: Vec<_> = self.validator.iter_errors(value).collect();
        errors.sort_by_cached_key(rank);
        let mut findings: Vec<Finding> = Vec::new();
        for finding in errors.iter().take(10 * FINDINGS).map(Finding::of) {
            if findings.len() < FINDINGS && !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }
}

fn too_large(bytes: usize) -> SchemaProblem {
    SchemaProblem {
        path: String::new(),
        message: format!("a schema has at most {MAX_SCHEMA_BYTES} bytes, this one has {bytes}"),
    }
}

/// How many values a value has, itself included, counted up to `most`.
fn parts(value: &Value, most: usize) -> usize {
    let children: &mut dyn Iterator<Item = &Value> = match value {
        Value::Array(items) => &mut items.iter(),
        Value::Object(members) => &mut members.values(),
        _ => return 1,
    };
    let mut sum = 1;
    for child in children {
        if sum >= most {
            break;
        }
        sum += parts(child, most - sum);
    }
    sum
}
