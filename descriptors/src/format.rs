//! The format's own JSON Schema, for editors and for the first check of every descriptor. Made from the types, with the
//! patterns and bounds that types cannot say. Knows no text.

use serde_json::{Map, Value, json};

use crate::{
    check::limits,
    descriptor::{Descriptor, SCHEMA},
};

/// The schema's `$id`.
pub const SCHEMA_ID: &str = "https://raw.githubusercontent.com/claude-comms/claude-comms/main/descriptors/schema/module.v1.schema.json";

const NAME: &str = "^[a-z][a-z0-9_-]{0,62}$";
const TYPE_NAME: &str = "^[A-Za-z][A-Za-z0-9_.-]{0,62}$";
/// semver.org's own, without its groups' names.
const VERSION: &str = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$";

/// The JSON Schema 2020-12 of `claude-comms/module/v1`.
pub fn json_schema() -> Value {
    let mut schema = serde_json::to_value(schemars::schema_for!(Descriptor)).expect("a schema is plain JSON");
    set(
        &mut schema,
        "",
        json!({
            "$id": SCHEMA_ID,
            "title": "claude-comms module descriptor, version 1",
            "description": "Describes a module (a tool, service or application) so that other modules can ask it questions through Claude.",
        }),
    );
    set(&mut schema, "/properties/schema", json!({ "const": SCHEMA }));
    set(&mut schema, "/properties/name", json!({ "pattern": NAME }));
    set(
        &mut schema,
        "/properties/version",
        json!({ "pattern": VERSION, "maxLength": limits::VERSION_BYTES, "examples": ["1.0.0"] }),
    );
    set(&mut schema, "/properties/title", json!({ "maxLength": limits::TITLE_BYTES }));
    prose(&mut schema, "/properties/description", limits::DESCRIPTION_BYTES);
    list(&mut schema, "/properties/capabilities", limits::CAPABILITIES);
    list(&mut schema, "/properties/data_types", limits::DATA_TYPES);
    list(&mut schema, "/properties/relationships", limits::RELATIONSHIPS);
    for tags in ["/properties/tags", "/$defs/Capability/properties/tags"] {
        list(&mut schema, tags, limits::TAGS);
        set(&mut schema, &format!("{tags}/items"), json!({ "minLength": 1, "maxLength": limits::TAG_BYTES }));
    }

    set(&mut schema, "/$defs/Capability/properties/name", json!({ "pattern": NAME }));
    prose(&mut schema, "/$defs/Capability/properties/description", limits::DESCRIPTION_BYTES);
    set(&mut schema, "/$defs/DataType/properties/name", json!({ "pattern": TYPE_NAME }));
    for (holder, key) in [("Capability", "input"), ("Capability", "output"), ("DataType", "schema")] {
        // What is inside is checked as a JSON Schema by itself; editors that know 2020-12 need no more than this.
        set(
            &mut schema,
            &format!("/$defs/{holder}/properties/{key}"),
            json!({ "type": ["object", "boolean", "null"] }),
        );
    }
    set(&mut schema, "/$defs/Relationship/properties/module", json!({ "pattern": NAME }));

    let context = "/$defs/ContextSpec/properties";
    for text in ["role", "instructions"] {
        set(&mut schema, &format!("{context}/{text}"), json!({ "maxLength": limits::ROLE_BYTES }));
    }
    list(&mut schema, &format!("{context}/constraints"), limits::CONSTRAINTS);
    set(&mut schema, &format!("{context}/glossary"), json!({ "maxProperties": limits::GLOSSARY }));
    set(&mut schema, &format!("{context}/extends"), json!({ "pattern": NAME }));
    set(
        &mut schema,
        &format!("{context}/templates"),
        json!({
            "maxProperties": limits::TEMPLATES,
            "propertyNames": { "pattern": NAME, "not": { "const": "context" } },
        }),
    );
    if let Some(inline) = schema.pointer_mut("/$defs/TemplateText/anyOf/1") {
        set(inline, "", json!({ "additionalProperties": false }));
    }
    list(&mut schema, "/$defs/Files/properties/read", limits::FILES);

    let bounds = "/$defs/Limits/properties";
    set(
        &mut schema,
        &format!("{bounds}/model"),
        json!({ "pattern": r"^[A-Za-z0-9._:/@\[\]][A-Za-z0-9._:/@\[\]-]*$" }),
    );
    set(&mut schema, &format!("{bounds}/max_turns"), json!({ "minimum": 1, "maximum": u32::MAX }));
    set(&mut schema, &format!("{bounds}/budget_usd"), json!({ "exclusiveMinimum": 0 }));
    set(
        &mut schema,
        &format!("{bounds}/timeout"),
        json!({ "maxLength": limits::TIME_BYTES, "examples": ["120s", "5m"] }),
    );
    schema
}

/// The schema as its file holds it, with a line end.
pub fn json_schema_text() -> String {
    let text = serde_json::to_string_pretty(&json_schema()).expect("a schema is plain JSON");
    text + "\n"
}

fn prose(schema: &mut Value, pointer: &str, bytes: usize) {
    set(schema, pointer, json!({ "minLength": 1, "maxLength": bytes }));
}

fn list(schema: &mut Value, pointer: &str, items: usize) {
    set(schema, pointer, json!({ "maxItems": items }));
}

/// Adds keywords to the schema at a pointer, which the types are known to have.
fn set(schema: &mut Value, pointer: &str, keywords: Value) {
    let target = schema.pointer_mut(pointer).unwrap_or_else(|| panic!("the types have {pointer}"));
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let (Value::Object(target), Value::Object(keywords)) = (target, keywords) {
        target.extend(keywords);
    }
}
