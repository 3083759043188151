//! A small value that fits a schema, as far as that can be had without search: `not`, `if` and what `oneOf` forbids
//! are passed over. Bounded in depth and size whatever the schema says.

use serde_json::{Map, Value};

use super::conjunction::{Conjunction, count};
use super::document::Document;
use super::{number, pattern, text};

/// Values are nested at most this deep.
const MAX_DEPTH: usize = 16;
/// Bytes of data and steps on the way to it, together.
const BUDGET: usize = 256 * 1024;
/// Most schemas that are looked at for one value.
const MAX_PARTS: usize = 256;
/// Most items or members that are made because so many have to be there.
const MAX_COUNT: usize = 512;
/// How often an item that is there already is made anew.
const TRIES: usize = 4;

/// A small instance of a schema. Null where there is none, or none within the bounds.
pub(crate) fn instance(schema: &Value) -> Value {
    let mut maker = Maker { document: Document::new(schema), left: BUDGET, within: vec!["#"], nth: 0 };
    maker.make(&[schema], 0)
}

struct Maker<'s> {
    document: Document<'s>,
    /// What is left of the budget.
    left: usize,
    /// The references that led here.
    within: Vec<&'s str>,
    /// Which of several different values to make; 0 is the simplest.
    nth: usize,
}

impl<'s> Maker<'s> {
    /// Takes from the budget; false, and nothing left, if that is too much.
    fn spend(&mut self, amount: usize) -> bool {
        let enough = amount <= self.left;
        self.left = if enough { self.left - amount } else { 0 };
        enough
    }

    fn make(&mut self, schemas: &[&'s Value], depth: usize) -> Value {
        if !self.spend(4 + schemas.len()) || depth >= MAX_DEPTH {
            return Value::Null;
        }
        let references = self.within.len();
        let value = match self.conjunction(schemas) {
            Some(all) => self.fitting(&all, depth),
            None => Value::Null,
        };
        self.within.truncate(references);
        value
    }

    /// All that these schemas say of the value, references followed and branches chosen; none if one says no.
    fn conjunction(&mut self, schemas: &[&'s Value]) -> Option<Conjunction<'s>> {
        let mut all = Conjunction::default();
        let mut queue = schemas.to_vec();
        let mut followed: Vec<&str> = Vec::new();
        let mut next = 0;
        while let Some(&schema) = queue.get(next) {
            next += 1;
            if next > MAX_PARTS || !self.spend(1) {
                break;
            }
            let part = match schema {
                Value::Object(part) => part,
                Value::Bool(false) => return None,
                _ => continue,
            };
            all.parts.push(part);
            for keyword in ["$ref", "$dynamicRef"] {
                let Some(reference) = part.get(keyword).and_then(Value::as_str) else { continue };
                if !followed.contains(&reference) {
                    followed.push(reference);
                    queue.extend(self.document.resolve(reference));
                }
            }
            queue.extend(part.get("allOf").and_then(Value::as_array).into_iter().flatten().take(MAX_PARTS));
            for keyword in ["anyOf", "oneOf"] {
                queue.extend(part.get(keyword).and_then(Value::as_array).and_then(|all| self.branch(all)));
            }
        }
        self.within.extend(followed);
        Some(all)
    }

    /// The first branch, unless it allows nothing or leads round in a circle and another one does not.
    fn branch(&self, branches: &'s [Value]) -> Option<&'s Value> {
        let circle = |branch: &Value| {
            let reference = branch.get("$ref").and_then(Value::as_str);
            reference.is_some_and(|reference| self.within.contains(&reference))
        };
        let good = |branch: &&Value| **branch != Value::Bool(false) && !circle(branch);
        branches.iter().find(good).or(branches.first())
    }

    fn fitting(&mut self, all: &Conjunction<'s>, depth: usize) -> Value {
        if let Some(given) = self.given(all) {
            return if self.spend(given.to_string().len()) { given.clone() } else { Value::Null };
        }
        match all.kind() {
            "object" => self.object(all, depth),
            "array" => self.array(all, depth),
            "string" => {
                let text = text::text(all, self.nth);
                if self.spend(text.len()) { Value::String(text) } else { Value::Null }
            }
            // A later number is looked for among all before it.
            "integer" | "number" if !self.spend(8 * (1 + self.nth)) => Value::Null,
            kind @ ("integer" | "number") => number::number(all, kind == "integer", self.nth),
            "boolean" => Value::Bool(self.nth % 2 == 1),
            _ => Value::Null,
        }
    }

    /// A value that the schema itself tells.
    fn given(&self, all: &Conjunction<'s>) -> Option<&'s Value> {
        let lists = |keyword| all.all(keyword).filter_map(Value::as_array);
        if let Some(only) = all.all("const").next() {
            return Some(only);
        }
        if let Some(values) = lists("enum").next() {
            let fitting: Vec<&Value> = values.iter().filter(|one| all.fits(one)).collect();
            let preferred = all.all("default").find(|one| self.nth == 0 && fitting.contains(one));
            let nth = fitting.get(self.nth % fitting.len().max(1)).copied();
            return preferred.or(nth).or(values.first());
        }
        let mut told = all.all("default").chain(lists("examples").flatten()).filter(|one| all.fits(one));
        told.nth(self.nth)
    }

    fn object(&mut self, all: &Conjunction<'s>, depth: usize) -> Value {
        let mut names: Vec<String> = Vec::new();
        let add = |names: &mut Vec<String>, name: &str| {
            if names.len() < MAX_COUNT && !names.iter().any(|there| there == name) {
                names.push(name.to_owned());
            }
        };
        all.listed("required").take(MAX_COUNT).for_each(|name| add(&mut names, name));
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            next += 1;
            for needed in all.all("dependentRequired").filter_map(|rules| rules.get(&name)) {
                let needed = needed.as_array().into_iter().flatten().filter_map(Value::as_str);
                needed.for_each(|needed| add(&mut names, needed));
            }
        }
        let least = all.at_least("minProperties", MAX_COUNT);
        for name in all.all("properties").filter_map(Value::as_object).flat_map(Map::keys) {
            if names.len() >= least {
                break;
            }
            add(&mut names, name);
        }
        let patterns = || all.all("patternProperties").filter_map(Value::as_object).flatten();
        for nth in 0..least.saturating_sub(names.len()) {
            let by_pattern = patterns().next().and_then(|(pattern, _)| pattern::matching(pattern, nth));
            add(&mut names, &by_pattern.unwrap_or_else(|| format!("simulated{}", nth + 1)));
        }
        if !self.spend(names.len()) {
            return Value::Null;
        }
        let mut members = Map::new();
        for name in names {
            let mut schemas: Vec<&Value> = Vec::new();
            for part in &all.parts {
                let listed = part.get("properties").and_then(|properties| properties.get(&name));
                let by_pattern = part.get("patternProperties").and_then(Value::as_object);
                let other = by_pattern.and_then(|rules| rules.values().next());
                schemas.extend(listed.or(other).or_else(|| part.get("additionalProperties")));
            }
            if !self.spend(name.len()) {
                break;
            }
            let value = self.make(&schemas, depth + 1);
            members.insert(name, value);
        }
        Value::Object(members)
    }

    fn array(&mut self, all: &Conjunction<'s>, depth: usize) -> Value {
        let prefix = all.all("prefixItems").filter_map(Value::as_array).map(Vec::len).max().unwrap_or(0);
        let contains = all.all("contains").next();
        let needed =
            contains.map_or(0, |_| all.all("minContains").find_map(count).unwrap_or(1).min(MAX_COUNT));
        let start = prefix.min(all.at_most("maxItems").saturating_sub(needed));
        let held = if needed == 0 { 0 } else { start + needed };
        let length = all.at_least("minItems", MAX_COUNT).max(held);
        let unique = all.all("uniqueItems").any(|unique| *unique == Value::Bool(true));
        let mut items = Vec::new();
        for index in 0..length {
            let mut schemas: Vec<&Value> = Vec::new();
            for part in &all.parts {
                let prefix = part.get("prefixItems").and_then(Value::as_array);
                schemas.extend(prefix.and_then(|prefix| prefix.get(index)).or_else(|| part.get("items")));
            }
            schemas.extend(contains.filter(|_| (start..start + needed).contains(&index)));
            let item =
                if unique { self.another(&items, &schemas, depth) } else { self.make(&schemas, depth + 1) };
            if self.left == 0 {
                break;
            }
            items.push(item);
        }
        Value::Array(items)
    }

    /// An item that is not there yet, if a few tries give one.
    fn another(&mut self, items: &[Value], schemas: &[&'s Value], depth: usize) -> Value {
        let outer = self.nth;
        let mut item = self.make(schemas, depth + 1);
        for further in 0..TRIES {
            if !items.contains(&item) {
                break;
            }
            self.nth = outer + items.len() + further;
            item = self.make(schemas, depth + 1);
        }
        self.nth = outer;
        item
    }
}
