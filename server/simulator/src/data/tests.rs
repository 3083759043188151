//! Made-up data fits the schemas it is made for, and no schema makes much of it.

use claude_comms_descriptors::standard;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::{demanded, instance, pattern};

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn assert_fits(schema: &Value) {
    let made = instance(schema);
    let errors: Vec<String> = validator(schema).iter_errors(&made).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{schema}\ngave {made}\n{errors:#?}");
}

#[test]
fn every_output_of_the_standard_modules_is_met() {
    let mut outputs = 0;
    for module in standard() {
        for schema in module.capabilities.iter().filter_map(|capability| capability.output.as_ref()) {
            assert_fits(schema);
            outputs += 1;
        }
    }
    assert!(outputs >= 10, "{outputs} outputs");
}

#[test]
fn every_input_of_the_standard_modules_is_met() {
    for module in standard() {
        module.capabilities.iter().filter_map(|capability| capability.input.as_ref()).for_each(assert_fits);
    }
}

#[test]
fn awkward_schemas_are_met() {
    let schemas = [
        json!(true),
        json!({}),
        json!({ "const": null }),
        json!({ "enum": [3, "a"], "type": "string" }),
        json!({ "type": "string", "enum": ["a", "b"], "default": "b" }),
        json!({ "type": "string", "default": 5 }),
        json!({ "type": "integer", "examples": ["no", 7] }),
        json!({ "type": ["null", "string"] }),
        json!({ "type": ["string", "integer"], "allOf": [{ "type": "integer", "minimum": 2 }] }),
        json!({ "type": "number", "allOf": [{ "type": "integer" }], "exclusiveMinimum": 1.5 }),
        json!({ "type": "string", "minLength": 40 }),
        json!({ "type": "string", "maxLength": 3 }),
        json!({ "type": "string", "maxLength": 0 }),
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "boolean" }, "b": false } }),
        json!({ "type": "object", "minProperties": 2, "properties": { "a": { "type": "null" } } }),
        json!({ "type": "object", "minProperties": 2, "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "minProperties": 2, "additionalProperties": false,
            "patternProperties": { "^x_[a-z]+$": { "type": "integer" } } }),
        json!({ "type": "object", "required": ["a"], "dependentRequired": { "a": ["b"], "b": ["c"] } }),
        json!({ "required": ["a"], "allOf": [{ "properties": { "a": { "minimum": 4 } } },
            { "properties": { "a": { "type": "integer", "maximum": 4 } } }] }),
        json!({ "type": "object", "properties": { "a": { "type": "integer" }, "b": { "type": "null" } },
            "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "anyOf": [false, { "type": "array", "minItems": 2, "items": { "type": "integer" } }] }),
        json!({ "type": "array", "minItems": 3, "prefixItems": [{ "type": "null" }], "items": { "const": 1 } }),
        json!({ "type": "array", "prefixItems": [{ "type": "null" }], "contains": { "type": "integer" } }),
        json!({ "type": "array", "minItems": 3, "uniqueItems": true, "items": { "type": "integer" } }),
        json!({ "type": "array", "minItems": 4, "uniqueItems": true, "items": { "type": "string", "maxLength": 9 } }),
        json!({ "type": "array", "minItems": 2, "uniqueItems": true, "items": { "type": "boolean" } }),
        json!({ "type": "array", "minItems": 3, "uniqueItems": true, "items": { "enum": ["a", "b", "c"] } }),
        json!({ "type": "array", "minItems": 3, "uniqueItems": true, "items": { "required": ["id"],
            "properties": { "id": { "type": "string", "format": "uuid" } } } }),
        json!({ "$ref": "#/$defs/a~1b%20c", "$defs": { "a/b c": { "type": "integer", "minimum": 3 } } }),
        json!({ "$ref": "#here", "$defs": { "x": { "$anchor": "here", "type": "null" } } }),
        json!({ "$id": "https://a.invalid/s", "$ref": "https://a.invalid/s#/$defs/x",
            "$defs": { "x": { "type": "array" } } }),
        json!({ "$ref": "#/$defs/list", "$defs": { "list": { "type": "object", "required": ["next"],
            "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/list" }, { "type": "null" }] } } } } }),
        json!({ "type": "object", "required": ["children"], "properties": {
            "children": { "type": "array", "items": { "$ref": "#" } } } }),
    ];
    schemas.iter().for_each(assert_fits);
}

#[test]
fn numbers_keep_their_bounds() {
    let schemas = [
        json!({ "type": "integer" }),
        json!({ "type": "integer", "minimum": -7, "maximum": -3 }),
        json!({ "type": "integer", "exclusiveMinimum": 0 }),
        json!({ "type": "integer", "exclusiveMaximum": 0 }),
        json!({ "type": "integer", "minimum": 7, "multipleOf": 5 }),
        json!({ "type": "integer", "exclusiveMinimum": 0, "multipleOf": 2.5 }),
        json!({ "type": "integer", "minimum": 9_007_199_254_740_993_u64 }),
        json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }),
        json!({ "type": "number", "minimum": 0.065, "multipleOf": 0.01 }),
        json!({ "type": "number", "exclusiveMaximum": -0.25, "minimum": -0.5 }),
        json!({ "type": "number", "minimum": 1e300 }),
    ];
    schemas.iter().for_each(assert_fits);
}

#[test]
fn formats_and_usual_patterns_are_met() {
    for format in
        ["date", "date-time", "time", "uri", "email", "uuid", "hostname", "ipv4", "ipv6", "duration"]
    {
        assert_fits(&json!({ "type": "string", "format": format }));
    }
    let patterns = [
        "^[^/]+/[^/]+$",
        "^[A-Za-z][A-Za-z0-9_-]{0,255}$",
        "^\\d{4}-\\d{2}-\\d{2}$",
        "^(?:sha256:)?[0-9a-f]{64}$",
        "^v?\\d+\\.\\d+\\.\\d+(?:-[\\w.]+)?$",
        "^(left|right)$",
        "^\\S+@\\S+\\.\\S+$",
        "^#[0-9A-F]{6}$",
        "^[\\s\\S]+$",
        "^\\p{Lu}\\p{L}*$",
        "^a{2,}b{1,3}?c*$",
        "",
    ];
    for pattern in patterns {
        assert_fits(&json!({ "type": "string", "pattern": pattern }));
    }
    assert_fits(&json!({ "type": "string", "pattern": "^[a-f]+$", "minLength": 12 }));
    assert_fits(&json!({ "type": "array", "minItems": 3, "uniqueItems": true,
        "items": { "type": "string", "pattern": "^k[0-9]+$" } }));
}

#[test]
fn a_pattern_that_is_not_understood_gives_plain_text() {
    for pattern in ["(?=a)b", "(a)\\1", "(?i)a", "[", "(", "a)", "*", "[[:alpha:]]", "(a{9999}){9999}"] {
        assert_eq!(pattern::matching(pattern, 0), None, "{pattern}");
        assert_eq!(instance(&json!({ "pattern": pattern })), "simulated", "{pattern}");
    }
    assert_eq!(pattern::matching(&"(".repeat(100_000), 0), None);
}

#[test]
fn what_no_value_fits_ends_nevertheless() {
    assert_eq!(instance(&json!(false)), Value::Null);
    assert_eq!(instance(&json!({ "$ref": "#/nowhere", "type": "null" })), Value::Null);
    assert_eq!(instance(&json!({ "$ref": "#" })), "simulated");
    assert_eq!(instance(&json!({ "type": "integer", "minimum": 2, "maximum": 1 })), 0);
    let endless = [
        json!({ "required": ["a", "b"], "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }], "minItems": 9_000_000, "items": { "$ref": "#" } }),
        json!({ "type": "string", "minLength": 9_000_000_000_u64 }),
        json!({ "minProperties": 9_000_000, "additionalProperties": { "$ref": "#" } }),
        json!({ "type": "array", "minItems": 4000, "items": { "const": "x".repeat(100_000) } }),
        json!({ "type": "array", "minItems": 4000, "uniqueItems": true, "items": { "type": "integer", "maximum": 0 } }),
    ];
    for schema in endless {
        let size = instance(&schema).to_string().len();
        assert!(size < 1024 * 1024, "{size} bytes for {schema}");
    }
}

#[test]
fn the_schema_is_found_where_the_server_puts_it() {
    let found =
        |prompts: &[&str]| demanded(&prompts.iter().map(|&prompt| prompt.to_owned()).collect::<Vec<_>>());
    let question = "<output_format>\nIn words.\n{\"const\":\"\\u003c1\\u003e\"}\nNo.\n</output_format>\n";
    let repair = "The data of your last answer cannot be used:\n\n- x\n\n";
    let again = format!("{repair}<schema>\n{{\n  \"const\": 2\n}}\n</schema>\n\nDo not invent.\n");
    assert_eq!(found(&[question]), Some(json!({ "const": "<1>" })));
    assert_eq!(found(&[question, &again]), Some(json!({ "const": 2 })));
    assert_eq!(found(&[question, "thank you", repair]), Some(json!({ "const": "<1>" })));
    assert_eq!(found(&["<output_format>\ntrue\n</output_format>"]), Some(json!(true)));
    assert_eq!(found(&[question, "thank you"]), None);
    assert_eq!(found(&["<schema>\n{}\n</schema>"]), None);
    assert_eq!(found(&["<output_format>\n{\"a\n</output_format>"]), None);
    assert_eq!(found(&["<output_format>\nwords\n</output_format>\n{}"]), None);
    assert_eq!(found(&[]), None);
}

#[test]
fn the_server_still_writes_what_is_looked_for() {
    let question = include_str!("../../../context/src/builtin/query.j2");
    assert!(question.contains("\n<output_format>\n") && question.contains("\n{{ output.schema }}\n"));
    let repair = include_str!("../../../context/src/answer/repair.rs");
    assert!(
        repair.contains("\"The data of your last answer cannot be used:") && repair.contains("<schema>\\n")
    );
}
