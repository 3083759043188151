//! Words in a JSON Schema that are no keywords: the validator passes over them, so that nothing is checked by them. Knows no
//! text positions.

use serde_json::Value;

/// Keywords of JSON Schema 2020-12.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// Keywords whose value is a schema, a list of schemas, or a map of schemas.
const ONE: &[&str] = &[
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS: &[&str] = &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Most words that are told of one schema.
const TOLD: usize = 10;

/// A word that is no keyword: where it stands, as a JSON pointer, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoKeyword {
    /// Where it is.
    pub pointer: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// The words of a schema that are no keywords of JSON Schema 2020-12; at most ten. Those that begin with `x-` are meant so.
pub fn no_keywords(schema: &Value) -> Vec<NoKeyword> {
    let mut found = Vec::new();
    walk(schema, &mut String::new(), &mut found);
    found
}

fn walk(schema: &Value, pointer: &mut String, found: &mut Vec<NoKeyword>) {
    let Value::Object(map) = schema else { return };
    for (word, value) in map {
        if found.len() >= TOLD {
            return;
        }
        let length = pointer.len();
        push(pointer, word);
        if !KEYWORDS.contains(&word.as_str()) && !word.starts_with("x-") {
            found.push(NoKeyword { pointer: pointer.clone(), message: told(word, value) });
        } else if ONE.contains(&word.as_str()) {
            walk(value, pointer, found);
        } else if let (true, Value::Array(items)) = (LISTS.contains(&word.as_str()), value) {
            for (index, item) in items.iter().enumerate() {
                within(item, &index.to_string(), pointer, found);
            }
        } else if let (true, Value::Object(items)) = (MAPS.contains(&word.as_str()), value) {
            for (name, item) in items {
                within(item, name, pointer, found);
            }
        }
        pointer.truncate(length);
    }
}

fn within(schema: &Value, name: &str, pointer: &mut String, found: &mut Vec<NoKeyword>) {
    let length = pointer.len();
    push(pointer, name);
    walk(schema, pointer, found);
    pointer.truncate(length);
}

fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

fn told(word: &str, value: &Value) -> String {
    const NOTHING: &str = "no keyword of JSON Schema, so that nothing is checked by it";
    if value.is_null() && word.contains(char::is_whitespace) {
        return format!("{NOTHING}; is it the end of a text with a comma? put that text in quotes");
    }
    let near = KEYWORDS.iter().min_by_key(|keyword| strsim::damerau_levenshtein(keyword, word));
    match near.filter(|near| strsim::damerau_levenshtein(near, word) <= word.len() / 3) {
        Some(near) => format!("{NOTHING}; did you mean {near:?}?"),
        None => format!("{NOTHING}; a member of an object stands below \"properties\""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told_of(schema: &Value) -> Vec<String> {
        no_keywords(schema).into_iter().map(|word| format!("{}: {}", word.pointer, word.message)).collect()
    }

    #[test]
    fn every_word_that_checks_nothing_is_told_with_its_remedy() {
        let schema = json!({
            "type": "object",
            "requried": ["word"],
            "ok": "boolean",
            "properties": {"type": {"typ": "string"}, "list": {"items": {"maxlength": 3}}},
            "anyOf": [{"in words or AQL.": null}],
            "x-note": 1,
        });
        let words = told_of(&schema);
        assert_eq!(words.len(), 5, "{words:?}");
        let has = |what: &str| assert!(words.iter().any(|word| word.contains(what)), "{what} in {words:?}");
        has("/requried: no keyword");
        has("did you mean \"required\"?");
        has(
            "/ok: no keyword of JSON Schema, so that nothing is checked by it; a member of an object stands below",
        );
        has("/properties/type/typ: ");
        has("/properties/list/items/maxlength: ");
        has("/anyOf/0/in words or AQL.: ");
        has("put that text in quotes");
    }

    #[test]
    fn schemas_that_are_right_give_nothing() {
        for descriptor in crate::standard() {
            for capability in &descriptor.capabilities {
                for schema in capability.input.iter().chain(&capability.output) {
                    assert_eq!(told_of(schema), Vec::<String>::new(), "{}", capability.name);
                }
            }
        }
        assert_eq!(told_of(&json!(true)), Vec::<String>::new());
    }
}
