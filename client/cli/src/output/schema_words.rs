//! A JSON Schema in one line, as people would say it: `{query: string, bind?: object} -> ...`. Says less than the schema.

use serde_json::{Map, Value};

/// Deeper levels are only named by their type.
const DEPTH: usize = 2;
/// A line that is longer is cut.
const LONGEST: usize = 160;

/// The schema in short; `any` for one that says nothing, the text itself for what is no JSON.
pub(super) fn in_short(schema: &str) -> String {
    let words = match serde_json::from_str::<Value>(schema) {
        Ok(value) => words(&value, DEPTH),
        Err(_) => schema.to_owned(),
    };
    if words.chars().count() > LONGEST {
        words.chars().take(LONGEST - 1).chain(['…']).collect()
    } else {
        words
    }
}

fn words(schema: &Value, depth: usize) -> String {
    let Value::Object(schema) = schema else { return "any".into() };
    if let Some(Value::String(reference)) = schema.get("$ref") {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match schema.get("type") {
        Some(Value::String(name)) => of_type(name, schema, depth),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).map(|name| of_type(name, schema, depth));
            names.collect::<Vec<_>>().join(" | ")
        }
        _ if schema.contains_key("properties") => object(schema, depth),
        _ if schema.contains_key("items") => array(schema, depth),
        // After the shape: beside one they only say which members go together.
        _ => choices(schema, depth).unwrap_or_else(|| "any".into()),
    }
}

fn choices(schema: &Map<String, Value>, depth: usize) -> Option<String> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    Some(choices.iter().map(|choice| words(choice, depth)).collect::<Vec<_>>().join(" | "))
}

fn of_type(name: &str, schema: &Map<String, Value>, depth: usize) -> String {
    match name {
        "object" => object(schema, depth),
        "array" => array(schema, depth),
        other => other.to_owned(),
    }
}

fn object(schema: &Map<String, Value>, depth: usize) -> String {
    let Some(Value::Object(properties)) = schema.get("properties").filter(|_| depth > 0) else {
        return "object".into();
    };
    if properties.is_empty() {
        return "object".into();
    }
    let required: Vec<&str> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let member = |name: &String, schema: &Value| {
        let may = if required.contains(&name.as_str()) { "" } else { "?" };
        format!("{name}{may}: {}", words(schema, depth - 1))
    };
    // What must be there comes first.
    let (first, then): (Vec<_>, Vec<_>) =
        properties.iter().partition(|(name, _)| required.contains(&name.as_str()));
    let members: Vec<_> = first.into_iter().chain(then).map(|(name, schema)| member(name, schema)).collect();
    format!("{{{}}}", members.join(", "))
}

fn array(schema: &Map<String, Value>, depth: usize) -> String {
    match schema.get("items") {
        // The brackets are no level of their own: rows of objects are what one wants to see.
        Some(items) => format!("[{}]", words(items, depth)),
        None => "array".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_reads_as_its_shape() {
        for (schema, wanted) in [
            (
                r#"{"type":"object","properties":{"bind":{"type":"object"},"query":{"type":"string"}},"required":["query"]}"#,
                "{query: string, bind?: object}",
            ),
            (
                r#"{"type":"array","items":{"type":"object","properties":{"n":{"type":["integer","null"]}}}}"#,
                "[{n?: integer | null}]",
            ),
            (r#"{"enum":["a",1]}"#, r#""a" | 1"#),
            (r##"{"$ref":"#/$defs/row"}"##, "row"),
            (r#"{"anyOf":[{"type":"string"},{"const":0}]}"#, "string | 0"),
            (r#"{"properties":{"a":{"properties":{"b":{"properties":{"c":{}}}}}}}"#, "{a?: {b?: object}}"),
            (r#"{"type":"object","properties":{"a":{}},"anyOf":[{"required":["a"]}]}"#, "{a?: any}"),
            (r#"{"type":"array"}"#, "array"),
            ("{}", "any"),
            ("true", "any"),
            ("no json", "no json"),
        ] {
            assert_eq!(in_short(schema), wanted, "{schema}");
        }
        let long = format!(r#"{{"enum":["{}"]}}"#, "é".repeat(300));
        assert_eq!(in_short(&long).chars().count(), LONGEST);
    }
}
