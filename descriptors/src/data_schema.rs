//! JSON Schemas 2020-12 that come from outside, and what does not fit them, in words. Never fetches anything: a schema
//! is one document. Knows no descriptor.

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use crate::{
    node::{child, steps},
    template,
    words::{did_you_mean, one_of, shown},
};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// Findings beyond this number help nobody.
const FINDINGS: usize = 20;

/// A compiled JSON Schema 2020-12.
#[derive(Debug, Clone)]
pub struct DataSchema {
    /// The document, to reckon what checking a value costs.
    document: Value,
    validator: Validator,
}

/// Something in a value that does not fit, or something in a schema that is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, as a JSON pointer: `/rows/2/id`; empty means the whole.
    pub pointer: String,
    /// What is wrong there: `missing key "id"`.
    pub message: String,
}

impl Finding {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// Where, as people read it: `rows[2].id`; empty means the whole.
    pub fn path(&self) -> String {
        steps(&self.pointer).fold(String::new(), |path, step| {
            if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
                format!("{path}[{step}]")
            } else {
                child(&path, &step)
            }
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path() {
            path if path.is_empty() => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl DataSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Everything in it that makes it no JSON Schema 2020-12, or one that needs another document; at most 20 findings.
    pub fn compile(schema: &Value) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        if let Some(dialect) = schema.get("$schema")
            && dialect.as_str().map(|dialect| dialect.trim_end_matches('#')) != Some(DIALECT)
        {
            findings.push(Finding::new(
                "/$schema",
                format!(
                    "{} is not read here; write JSON Schema 2020-12 ({DIALECT}), or leave $schema out",
                    shown(dialect)
                ),
            ));
            return Err(findings);
        }
        let meta = jsonschema::draft202012::meta::validator();
        findings.extend(meta.iter_errors(schema).take(FINDINGS).map(|error| schema_finding(&error)));
        references(schema, schema, String::new(), &mut findings);
        if !findings.is_empty() {
            findings.truncate(FINDINGS);
            return Err(findings);
        }
        // One gate compiles all schemas, so that what passes here passes everywhere.
        let validator = template::schema::compile(schema).map_err(|problem| {
            let pointer = locate(schema, &problem.path, String::new()).unwrap_or_default();
            let message = if pointer.ends_with("/pattern") || pointer.contains("/patternProperties") {
                format!(
                    "a regular expression that is not read here ({}); check its brackets, and do without look-around \
                     and back-references",
                    problem.message
                )
            } else {
                problem.message
            };
            vec![Finding::new(pointer, message)]
        })?;
        Ok(Self { document: schema.clone(), validator })
    }

    /// What in a value does not fit; empty means that it fits. At most 20 findings. A value that would take too much
    /// work to check does not fit.
    pub fn findings(&self, value: &Value) -> Vec<Finding> {
        if let Err(why) = template::schema::affordable(&self.document, value) {
            return vec![Finding::new("", format!("cannot be checked ({why})"))];
        }
        self.validator
            .iter_errors(value)
            .take(FINDINGS)
            .map(|error| Finding::new(error.instance_path().as_str(), explain(&error)))
            .collect()
    }

    /// Whether a value fits; one that would take too much work to check does not.
    pub fn fits(&self, value: &Value) -> bool {
        template::schema::affordable(&self.document, value).is_ok() && self.validator.is_valid(value)
    }
}

/// The JSON pointer of a readable path.
fn locate(value: &Value, path: &str, pointer: String) -> Option<String> {
    if template::schema::readable(&pointer) == path {
        return Some(pointer);
    }
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            locate(value, path, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")))
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, value)| locate(value, path, format!("{pointer}/{index}"))),
        _ => None,
    }
}

/// What is wrong inside a schema, in the words of schemas.
fn schema_finding(error: &ValidationError<'_>) -> Finding {
    let pointer = error.instance_path().as_str();
    let keyword = pointer.rsplit('/').next().unwrap_or_default();
    let message = match error.kind() {
        ValidationErrorKind::AnyOf { .. } if keyword == "type" => {
            let word = error.instance().as_str().unwrap_or_default();
            let remedy = did_you_mean(word, TYPES, &format!("write {}, or a list of these", one_of(&TYPES)));
            format!("{} is not a JSON Schema type; {remedy}", shown(error.instance()))
        }
        ValidationErrorKind::Format { format } if format == "regex" => {
            format!("{} is not a regular expression; check its brackets and escapes", shown(error.instance()))
        }
        ValidationErrorKind::Referencing(reference) => {
            format!(
                "a $ref that leads nowhere ({reference}); let it name something in this schema, such as #/$defs/NAME"
            )
        }
        _ => format!("not JSON Schema 2020-12: {}", explain(error)),
    };
    Finding::new(pointer, message)
}

/// References out of the document and into nothing, which the compiler would find one by one and without a place.
fn references(schema: &Value, root: &Value, pointer: String, findings: &mut Vec<Finding>) {
    let Value::Object(map) = schema else { return };
    for (key, value) in map {
        let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        match (key.as_str(), value) {
            ("$ref" | "$dynamicRef", Value::String(target)) => {
                if let Some(message) = reference_problem(target, root) {
                    findings.push(Finding::new(below, message));
                }
            }
            ("$id", Value::String(_)) if !pointer.is_empty() => findings.push(Finding::new(
                below,
                "an $id inside a schema makes it another document; leave it out and refer to #/$defs/NAME",
            )),
            ("const" | "enum" | "default" | "examples", _) => {}
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
            ) => {
                for (name, schema) in named {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    references(schema, root, format!("{below}/{name}"), findings);
                }
            }
            (_, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    references(item, root, format!("{below}/{index}"), findings);
                }
            }
            _ => references(value, root, below, findings),
        }
    }
}

fn reference_problem(target: &str, root: &Value) -> Option<String> {
    let Some(fragment) = target.strip_prefix('#') else {
        return Some(format!(
            "{} leaves the document, and nothing is fetched; copy that schema into $defs and write #/$defs/NAME",
            shown(&Value::from(target))
        ));
    };
    // Percent-encoded fragments and anchors are left to the compiler.
    let plain_pointer = fragment.starts_with('/') && !fragment.contains('%');
    (plain_pointer && root.pointer(fragment).is_none()).then(|| {
        let defs = root.get("$defs").and_then(Value::as_object);
        let known: Vec<String> =
            defs.into_iter().flat_map(|defs| defs.keys()).map(|name| format!("#/$defs/{name}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let otherwise = match known.as_slice() {
            [] => "this schema has no $defs".to_owned(),
            known => format!("there is {}", known.join(", ")),
        };
        format!(
            "{} leads nowhere; {}",
            shown(&Value::from(target)),
            did_you_mean(target, known.iter().copied(), &otherwise)
        )
    })
}

/// What does not fit, in words that begin after the place: `must be text, not 3`.
pub(crate) fn explain(error: &ValidationError<'_>) -> String {
    let found = shown(error.instance());
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("must be {}, not {found}", type_words(kind)),
        ValidationErrorKind::Required { property } => format!("missing key {property}"),
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("{name:?}")).collect();
            format!("unknown key {}", names.join(", "))
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(shown).collect();
            format!("{found} must be {}", one_of(&options))
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("{found} must be {}", shown(expected_value))
        }
        ValidationErrorKind::Pattern { pattern } => format!("{found} does not match the pattern {pattern}"),
        ValidationErrorKind::Minimum { limit } => format!("{found} is less than {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("{found} is more than {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("{found} must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("{found} must be less than {limit}"),
        ValidationErrorKind::MinLength { limit } => format!("{found} is shorter than {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("{found} is longer than {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("has fewer than {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("has more than {limit} items"),
        ValidationErrorKind::FalseSchema => format!("nothing may be here, but there is {found}"),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            format!("{found} fits none of the schemas allowed here")
        }
        _ => error.masked_with("the value").to_string(),
    }
}

/// `text`, `a list or null`.
pub(crate) fn type_words(kind: &TypeKind) -> String {
    let names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect(),
    };
    let words: Vec<&str> = names
        .iter()
        .map(|name| match name.trim_matches('"') {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a mapping",
            _ => "null",
        })
        .collect();
    one_of(&words)
}
