//! Checks what a turn gives for a template's parameters, before anything is sent.

use claude_comms_descriptors::template::{Parameter, schema};
use serde_json::{Map, Value};

use super::namespace::TemplateInfo;

/// Most bytes of all given values, as JSON.
const MAX_BYTES: usize = 64 * 1024;

/// What is wrong with one parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {message}")]
pub struct ParameterProblem {
    /// The parameter's name; empty if it is about all of them.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

/// Checks given values against a template's parameters, and completes them: a value for every parameter, defaults for
/// those not given, null for those that may be absent. Text is converted where the schema's type asks for another and
/// the text parses as that.
///
/// # Errors
///
/// Every problem: unknown, missing and misfitting ones.
pub fn check_parameters(
    info: &TemplateInfo,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParameterProblem>> {
    let mut problems = Vec::new();
    let mut problem = |name: &str, message: String| {
        problems.push(ParameterProblem { name: name.to_owned(), message });
    };
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    if bytes > MAX_BYTES {
        problem("", format!("all values have at most {MAX_BYTES} bytes together, these have {bytes}"));
        return Err(problems);
    }
    for name in given.keys().filter(|name| !info.parameters.contains_key(*name)) {
        problem(name, unknown(info, name));
    }
    let mut values = Map::new();
    for (name, parameter) in &info.parameters {
        let value = match given.get(name) {
            Some(value) => match fit(parameter, value) {
                Ok(value) => value,
                Err(message) => {
                    problem(name, message);
                    continue;
                }
            },
            None if parameter.required => {
                problem(name, missing(info, parameter));
                continue;
            }
            None => parameter.default.clone().unwrap_or(Value::Null),
        };
        values.insert(name.clone(), value);
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn missing(info: &TemplateInfo, parameter: &Parameter) -> String {
    let of = if parameter.description.is_empty() {
        String::new()
    } else {
        format!(" ({})", parameter.description)
    };
    format!("template `{}` needs it{of}", info.name)
}

fn unknown(info: &TemplateInfo, name: &str) -> String {
    let known: Vec<&str> = info.parameters.keys().map(String::as_str).collect();
    if let [near, ..] = super::namespace::nearest(name, known.iter().copied()).as_slice() {
        return format!("template `{}` has no such parameter; did you mean `{near}`?", info.name);
    }
    if known.is_empty() {
        return format!("template `{}` has no parameters", info.name);
    }
    format!("template `{}` has no such parameter; it has {}", info.name, known.join(", "))
}

fn fit(parameter: &Parameter, value: &Value) -> Result<Value, String> {
    let validator = schema::compile(&parameter.schema).map_err(|problem| problem.to_string())?;
    schema::affordable(&parameter.schema, value)?;
    let Err(error) = validator.validate(value) else { return Ok(value.clone()) };
    if let Some(converted) = converted(&parameter.schema, value) {
        return match validator.validate(&converted) {
            Ok(()) => Ok(converted),
            Err(error) => Err(told(&error)),
        };
    }
    if let Some(kind) = kinds(&parameter.schema).first()
        && value.is_string()
        && *kind != "string"
    {
        return Err(format!(
            "`{}` is not of type {kind}",
            crate::answer::shortened(value.as_str().unwrap_or_default())
        ));
    }
    Err(told(&error))
}

/// What text stands for where text does not fit: the value that it is as JSON, if the schema names that type.
fn converted(schema: &Value, value: &Value) -> Option<Value> {
    let parsed: Value = serde_json::from_str(value.as_str()?.trim()).ok()?;
    let kind = match &parsed {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) => return None,
    };
    kinds(schema).iter().any(|of| *of == kind || (kind == "number" && *of == "integer")).then_some(parsed)
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let path = schema::readable(error.instance_path().as_str());
    let message = crate::answer::shortened(&error.to_string());
    if path.is_empty() { message } else { format!("at {path}: {message}") }
}
