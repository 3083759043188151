//! A module in a list is cut, and says where.

use std::sync::Arc;

use claude_comms_descriptors::{TemplateFiles, parse};
use serde_json::json;

use super::*;

/// A module with so many capabilities and data types, whose descriptions have so many bytes.
fn shown(parts: usize, bytes: usize, detail: Detail) -> v1::Module {
    let description = "d".repeat(bytes);
    let part = |number| json!({"name": format!("n{number}"), "description": description});
    let all: Vec<Value> = (0..parts).map(part).collect();
    let descriptor = json!({
        "schema": claude_comms_descriptors::SCHEMA,
        "name": "billing",
        "version": "1.0.0",
        "description": "Bills.",
        "capabilities": all,
        "data_types": all,
        "relationships": [{"module": "other", "kind": "peer", "description": description}],
    });
    let parsed = parse(&descriptor.to_string(), TemplateFiles::Refused).expect("a good descriptor");
    let mut registry = Registry::new();
    let entry = Entry {
        descriptor: Arc::new(parsed.descriptor),
        origin: Origin::Registered,
        revision: 1,
        digest: String::new(),
        path: String::new(),
        create_time_micros: 0,
        update_time_micros: 0,
        warnings: Vec::new(),
    };
    registry.put(entry.clone());
    module(&registry, &entry, detail)
}

#[test]
fn a_list_names_the_fields_of_which_parts_or_texts_are_cut() {
    for (parts, bytes, truncated) in [
        (LIST_PARTS, LIST_PART_BYTES, false),
        (LIST_PARTS + 1, LIST_PART_BYTES, true),
        (LIST_PARTS, LIST_PART_BYTES + 1, true),
    ] {
        let module = shown(parts, bytes, Detail::InList);
        assert_eq!((module.capabilities.len(), module.data_types.len()), (LIST_PARTS, LIST_PARTS));
        assert_eq!(module.capabilities[0].description.len(), LIST_PART_BYTES);
        assert_eq!(module.data_types[0].description.len(), LIST_PART_BYTES);
        let expected: &[&str] = if truncated { &["capabilities", "data_types"] } else { &[] };
        assert_eq!(module.truncated_fields, expected, "{parts} of {bytes} bytes");
    }
}

#[test]
fn a_module_alone_is_whole_but_for_the_texts_of_its_relationships() {
    let whole = shown(LIST_PARTS + 1, RELATIONSHIP_BYTES, Detail::Whole);
    assert_eq!((whole.capabilities.len(), whole.data_types.len()), (LIST_PARTS + 1, LIST_PARTS + 1));
    assert_eq!(whole.capabilities[0].description.len(), RELATIONSHIP_BYTES);
    assert!(whole.truncated_fields.is_empty(), "{:?}", whole.truncated_fields);

    let cut = shown(1, RELATIONSHIP_BYTES + 1, Detail::Whole);
    assert_eq!(cut.relationships[0].description.len(), RELATIONSHIP_BYTES);
    assert_eq!(cut.truncated_fields, ["relationships"]);
}
