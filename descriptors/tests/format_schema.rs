//! The checked-in JSON Schema is what the types make.

use claude_comms_descriptors::{SCHEMA_ID, json_schema};
use serde_json::Value;

#[test]
fn the_checked_in_schema_is_what_the_types_make() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/module.v1.schema.json");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let checked_in: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        checked_in == json_schema(),
        "the format changed; renew its schema:\n  cargo run -p claude-comms-descriptors --example schema > \
         descriptors/schema/module.v1.schema.json"
    );
}

#[test]
fn the_schema_says_what_editors_need() {
    let schema = json_schema();
    assert_eq!(schema["$id"], SCHEMA_ID);
    assert_eq!(schema["required"], serde_json::json!(["schema", "name", "version", "description"]));
    for (name, property) in schema["properties"].as_object().expect("properties") {
        assert!(property["description"].is_string(), "{name} has no description");
    }
    assert_eq!(schema["properties"]["schema"]["const"], "claude-comms/module/v1");
}
