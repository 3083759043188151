//! Descriptors to text, and the digest that tells whether two of them say the same. Knows no files.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    descriptor::Descriptor,
    words::{escaped_json, needs_escape},
};

/// The descriptor as YAML, which [`crate::parse`] reads back as it was.
///
/// With characters that YAML refuses unless they are escaped it is written as JSON, which is YAML too.
pub fn to_yaml(descriptor: &Descriptor) -> String {
    let text = serde_yaml::to_string(descriptor)
        .expect("a descriptor is plain data, and writing to memory does not fail");
    // serde-saphyr 2.1 writes such characters as themselves and then does not read them.
    if text.contains(needs_escape) { escaped_json(&to_json(descriptor)) + "\n" } else { text }
}

/// The descriptor as JSON for people: indented.
pub fn to_json(descriptor: &Descriptor) -> String {
    serde_json::to_string_pretty(descriptor).expect("a descriptor is plain data with text keys")
}

/// The descriptor as JSON for comparing: no spaces, keys in byte order at every depth.
pub fn canonical_json(descriptor: &Descriptor) -> String {
    let value = serde_json::to_value(descriptor).expect("a descriptor is plain data with text keys");
    let mut text = String::new();
    write_sorted(&value, &mut text);
    text
}

/// SHA-256 of the canonical JSON, in hexadecimal. Equal exactly if the content is, whatever text it came from.
pub fn digest(descriptor: &Descriptor) -> String {
    let hash = Sha256::digest(canonical_json(descriptor).as_bytes());
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory does not fail");
        text
    })
}

/// Sorted here and not by serde_json, whose maps keep another order if any crate of the build asks for it.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write_sorted(item, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
