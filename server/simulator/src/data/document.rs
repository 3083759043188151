//! The whole schema document, in which references are looked up. Fetches nothing.

use serde_json::Value;

/// How deep an anchor may be.
const ANCHOR_DEPTH: usize = 64;

/// A schema with all that it defines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'s> {
    root: &'s Value,
}

impl<'s> Document<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        Self { root }
    }

    /// The schema that a reference means, if it is in this document.
    pub(super) fn resolve(self, reference: &str) -> Option<&'s Value> {
        let own = self.root.get("$id").and_then(Value::as_str).unwrap_or_default();
        let reference = reference.strip_prefix(own).unwrap_or(reference);
        match reference.strip_prefix('#').unwrap_or(reference) {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(&percent_decoded(pointer)?),
            anchor => anchored(self.root, anchor, ANCHOR_DEPTH),
        }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn anchored<'s>(value: &'s Value, anchor: &str, depth: usize) -> Option<&'s Value> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(members) => {
            let named = |keyword| members.get(keyword).and_then(Value::as_str) == Some(anchor);
            if named("$anchor") || named("$dynamicAnchor") {
                return Some(value);
            }
            members.values().find_map(|member| anchored(member, anchor, depth))
        }
        Value::Array(items) => items.iter().find_map(|item| anchored(item, anchor, depth)),
        _ => None,
    }
}
