//! A schema from outside is bounded, and so is checking against it.

use serde_json::{Value, json};

use super::{affordable, compile};

fn refused(schema: &Value) -> String {
    compile(schema).expect_err("a problem").to_string()
}

#[test]
fn references_within_the_schema_work_and_none_leaves_it() {
    let schema = json!({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}});
    let validator = compile(&schema).unwrap();
    assert!(validator.is_valid(&json!([1])) && !validator.is_valid(&json!(["a"])));
    assert!(
        refused(&json!({"properties": {"a": {"$ref": "https://example.com/x"}}})).contains("at properties.a")
    );
    assert!(refused(&json!({"$ref": "file:///etc/passwd"})).contains("points outside"));
    assert!(refused(&json!({"$schema": "http://json-schema.org/draft-07/schema#"})).contains("2020-12"));
    assert!(compile(&json!({"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "x"}})).is_ok());
}

#[test]
fn regular_expressions_are_linear_and_few() {
    assert!(compile(&json!({"pattern": "^(a+)+$"})).unwrap().is_valid(&json!("a".repeat(10_000))));
    assert!(!compile(&json!({"pattern": "^(a+)+$"})).unwrap().is_valid(&json!("a".repeat(10_000) + "b")));
    for pattern in ["(?=a)", "(a)\\1", "(((a{1000}){1000}){1000})", "("] {
        assert!(compile(&json!({ "pattern": pattern })).is_err(), "{pattern}");
    }
    let many: Vec<Value> = (0..200).map(|n| json!({"pattern": n.to_string()})).collect();
    assert!(refused(&json!({ "anyOf": many })).contains("at most 128"));
}

#[test]
fn a_schema_that_never_ends_is_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
        json!({"$anchor": "x", "if": {"$ref": "#x"}}),
    ] {
        assert!(refused(&schema).contains("refers to itself"), "{schema}");
    }
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "not": deep });
    }
    assert!(refused(&deep).contains("64 levels"));
    let chain: serde_json::Map<String, Value> =
        (0..5_000).map(|n| (n.to_string(), json!({"$ref": format!("#/$defs/{}", n + 1)}))).collect();
    assert!(refused(&json!({ "$defs": chain })).contains("too deeply"));
}

#[test]
fn more_work_than_can_be_done_is_refused_before_it_is_done() {
    let mut defs = serde_json::Map::new();
    defs.insert("0".into(), json!({"type": "integer"}));
    for n in 1..40 {
        let below = json!({"$ref": format!("#/$defs/{}", n - 1)});
        defs.insert(n.to_string(), json!({"allOf": [below, below]}));
    }
    assert!(refused(&json!({ "$defs": defs, "$ref": "#/$defs/39" })).contains("too much work"));

    let twice = json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
    compile(&twice).unwrap();
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "a": deep });
    }
    assert!(affordable(&twice, &deep).unwrap_err().contains("too much work"));
}

#[test]
fn recursive_schemas_and_large_values_are_no_trouble() {
    let tree = json!({
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "tags": {"items": {"type": "string"}}},
        "additionalProperties": {"$ref": "#"},
    });
    compile(&tree).unwrap();
    let mut deep = json!({"tags": vec!["x"; 50_000]});
    for level in 0..100 {
        let side = if level % 2 == 0 { "left" } else { "other" };
        deep = json!({ side: deep, "right": {} });
    }
    affordable(&tree, &deep).unwrap();
}
