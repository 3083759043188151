//! How much work it is to check a value against a schema, found out before it is done: `anyOf` in `anyOf`, or a
//! recursive schema that follows one property twice, is 2^depth of it, and the validator cannot be stopped.
//!
//! Counts each pair of schema and value once, so that counting is cheap where checking is not. Counts more than the
//! validator does (it stops at the first alternative that fits), never less.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most visits of a schema at a value.
const MOST: u64 = 20_000_000;
/// Most pairs of schema and value.
const MOST_PAIRS: usize = 2_000_000;
/// Most levels of schemas within schemas and values within values: what the validator does on the stack.
const DEEPEST: usize = 512;

static NOTHING: Value = Value::Null;

/// Why a value is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Costly {
    /// A schema that is about itself, at the same value.
    Circular,
    TooDeep,
    TooMuch,
}

impl Costly {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Circular => {
                "it refers to itself without going deeper into the value, so that checking never ends"
            }
            Self::TooDeep => "its schemas refer to each other too deeply",
            Self::TooMuch => "checking takes too much work; use fewer alternatives within alternatives",
        }
    }
}

/// Counts the work of one schema document.
pub(super) struct Cost<'a> {
    root: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    /// By the addresses of schema and value; `None` while it is being counted.
    known: HashMap<(usize, usize), Option<u64>>,
}

impl<'a> Cost<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let mut anchors = HashMap::new();
        collect_anchors(root, &mut anchors);
        Self { root, anchors, known: HashMap::new() }
    }

    /// The visits it takes to check a value.
    pub(super) fn of(&mut self, schema: &'a Value, value: &'a Value, depth: usize) -> Result<u64, Costly> {
        let Value::Object(keys) = schema else { return Ok(1) };
        if depth > DEEPEST {
            return Err(Costly::TooDeep);
        }
        let pair = (std::ptr::from_ref(schema) as usize, std::ptr::from_ref(value) as usize);
        match self.known.get(&pair) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err(Costly::Circular),
            None => {}
        }
        if self.known.len() >= MOST_PAIRS {
            return Err(Costly::TooMuch);
        }
        self.known.insert(pair, None);
        let cost = own(keys, value)
            .saturating_add(self.in_place(keys, value, depth)?)
            .saturating_add(self.within(keys, value, depth)?);
        if cost > MOST {
            return Err(Costly::TooMuch);
        }
        self.known.insert(pair, Some(cost));
        Ok(cost)
    }

    fn all(
        &mut self,
        schemas: impl Iterator<Item = &'a Value>,
        value: &'a Value,
        depth: usize,
    ) -> Result<u64, Costly> {
        let mut sum = 0_u64;
        for schema in schemas {
            sum = sum.saturating_add(self.of(schema, value, depth + 1)?);
        }
        Ok(sum)
    }

    /// Schemas that are about the same value.
    fn in_place(
        &mut self,
        keys: &'a Map<String, Value>,
        value: &'a Value,
        depth: usize,
    ) -> Result<u64, Costly> {
        let mut sum = 0_u64;
        for (key, at) in keys {
            let cost = match (key.as_str(), at) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                    self.all(schemas.iter(), value, depth)?
                }
                ("not" | "if" | "then" | "else", schema) => self.of(schema, value, depth + 1)?,
                ("dependentSchemas", Value::Object(schemas)) => self.all(schemas.values(), value, depth)?,
                ("$ref" | "$dynamicRef", Value::String(target)) => match self.resolve(target) {
                    Some(schema) => self.of(schema, value, depth + 1)?,
                    None => 0,
                },
                _ => 0,
            };
            sum = sum.saturating_add(cost);
        }
        Ok(sum)
    }

    /// Schemas that are about the value's parts.
    fn within(
        &mut self,
        keys: &'a Map<String, Value>,
        value: &'a Value,
        depth: usize,
    ) -> Result<u64, Costly> {
        let mut sum = 0_u64;
        match value {
            Value::Object(members) => {
                let properties = keys.get("properties").and_then(Value::as_object);
                let patterns = keys.get("patternProperties").and_then(Value::as_object);
                let others = ["additionalProperties", "unevaluatedProperties"].map(|key| keys.get(key));
                for (name, member) in members {
                    let named = properties.and_then(|properties| properties.get(name));
                    let mut cost = self.all(named.into_iter(), member, depth)?;
                    let by_pattern = match patterns {
                        Some(patterns) => self.all(patterns.values(), member, depth)?,
                        None => 0,
                    };
                    let other = if named.is_none() {
                        self.all(others.into_iter().flatten(), member, depth)?
                    } else {
                        0
                    };
                    cost = cost.saturating_add(by_pattern.max(other));
                    if let Some(names) = keys.get("propertyNames") {
                        cost = cost.saturating_add(self.of(names, &NOTHING, depth + 1)?);
                    }
                    sum = sum.saturating_add(cost);
                }
            }
            Value::Array(items) => {
                let first = keys.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let rest = ["items", "unevaluatedItems"].map(|key| keys.get(key));
                for (index, item) in items.iter().enumerate() {
                    let schemas: &mut dyn Iterator<Item = &'a Value> = match first.get(index) {
                        Some(schema) => &mut std::iter::once(schema),
                        None => &mut rest.into_iter().flatten(),
                    };
                    let cost = self.all(schemas.chain(keys.get("contains")), item, depth)?;
                    sum = sum.saturating_add(cost);
                }
            }
            _ => {}
        }
        Ok(sum)
    }

    fn resolve(&self, target: &str) -> Option<&'a Value> {
        let fragment = target.strip_prefix('#')?;
        if fragment.is_empty() || fragment.starts_with('/') {
            // Percent signs are rare; what does not resolve here does not compile either, or is an anchor's work.
            return self.root.pointer(&fragment.replace("%25", "%"));
        }
        self.anchors.get(fragment).copied()
    }
}

/// What a schema itself costs at a value, besides its subschemas.
fn own(keys: &Map<String, Value>, value: &Value) -> u64 {
    let choices = keys.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
    let pattern = match value {
        Value::String(text) if keys.contains_key("pattern") => text.len() / 8,
        _ => 0,
    };
    let constant = usize::from(keys.contains_key("const")) * 4;
    1 + (choices / 4 + pattern + constant + keys.len() / 4) as u64
}

fn collect_anchors<'a>(schema: &'a Value, anchors: &mut HashMap<&'a str, &'a Value>) {
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys {
                if let ("$anchor" | "$dynamicAnchor", Value::String(name)) = (key.as_str(), value) {
                    anchors.insert(name, schema);
                }
                collect_anchors(value, anchors);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_anchors(item, anchors)),
        _ => {}
    }
}

/// Checks that no schema of a document is about itself: each is counted at a value without parts.
pub(super) fn ends<'a>(cost: &mut Cost<'a>, schema: &'a Value) -> Result<(), Costly> {
    cost.of(schema, &NOTHING, 0)?;
    match schema {
        Value::Object(keys) => keys.values().try_for_each(|value| ends(cost, value)),
        Value::Array(items) => items.iter().try_for_each(|item| ends(cost, item)),
        _ => Ok(()),
    }
}
