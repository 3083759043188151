//! JSON Schemas made shorter: without their descriptions, then without their depths. A shortened schema is for reading,
//! not for checking.

use serde_json::{Map, Value, json};

/// Levels of objects and arrays that a flat schema shows.
const FLAT_DEPTH: usize = 2;

/// Keywords that explain and do not restrict.
const EXPLAINING: [&str; 10] = [
    "description",
    "title",
    "examples",
    "example",
    "default",
    "$comment",
    "$schema",
    "$id",
    "deprecated",
    "$anchor",
];

/// Keywords whose value is a map of schemas by name: the names are not keywords.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords whose value is data.
const DATA: [&str; 3] = ["enum", "const", "required"];

/// The schema without what only explains it.
pub(crate) fn without_descriptions(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, _)| !EXPLAINING.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), inside(key, value, &without_descriptions)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_descriptions).collect()),
        other => other.clone(),
    }
}

/// The schema without descriptions, down to two levels; what is deeper says its type alone.
pub(crate) fn flat(schema: &Value) -> Value {
    cut(&without_descriptions(schema), FLAT_DEPTH)
}

fn cut(schema: &Value, depth: usize) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    if depth == 0 {
        return kind_of(map);
    }
    let kept = map.iter().filter(|(key, _)| !["$defs", "definitions"].contains(&key.as_str()));
    Value::Object(
        kept.map(|(key, value)| {
            let value =
                if key == "enum" { few(value) } else { inside(key, value, &|inner| cut(inner, depth - 1)) };
            (key.clone(), value)
        })
        .collect(),
    )
}

/// The value of a keyword, with every schema in it changed.
fn inside(key: &str, value: &Value, change: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        _ if DATA.contains(&key) => value.clone(),
        Value::Object(map) if NAMED.contains(&key) => {
            Value::Object(map.iter().map(|(name, schema)| (name.clone(), change(schema))).collect())
        }
        Value::Object(_) => change(value),
        Value::Array(items) => Value::Array(items.iter().map(change).collect()),
        other => other.clone(),
    }
}

fn kind_of(map: &Map<String, Value>) -> Value {
    match map.get("type") {
        Some(kind) => json!({ "type": kind }),
        None => Value::Bool(true),
    }
}

/// A long list of allowed values, cut.
fn few(values: &Value) -> Value {
    match values {
        Value::Array(items) if items.len() > 12 => {
            let more = format!("... {} more", items.len() - 10);
            Value::Array(items.iter().take(10).cloned().chain([Value::String(more)]).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_go_and_properties_called_description_stay() {
        let schema = json!({
            "type": "object", "description": "a page", "required": ["description"],
            "properties": { "description": { "type": "string", "description": "what it is" } },
        });
        let short = json!({
            "type": "object", "required": ["description"], "properties": { "description": { "type": "string" } },
        });
        assert_eq!(without_descriptions(&schema), short);
    }

    #[test]
    fn a_flat_schema_shows_two_levels_and_few_of_many_values() {
        let schema = json!({
            "type": "object",
            "$defs": { "unused": { "type": "string" } },
            "properties": {
                "kind": { "enum": (0..20).collect::<Vec<_>>() },
                "page": { "type": "object", "properties": {
                    "box": { "type": "object", "properties": { "left": { "type": "number" } } },
                } },
            },
        });
        let flat = flat(&schema);
        assert_eq!(flat["properties"]["page"]["properties"]["box"], json!({ "type": "object" }));
        assert_eq!(flat["properties"]["kind"]["enum"].as_array().unwrap().len(), 11);
        assert!(flat.get("$defs").is_none());
    }
}
