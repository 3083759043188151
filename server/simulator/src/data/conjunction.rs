//! Schemas that hold for one value at once, read keyword by keyword: what a schema says itself, by reference and by
//! `allOf`. Knows nothing of how values are made.

use serde_json::{Map, Value};

/// Schemas that all hold for one value, the outermost first.
#[derive(Debug, Default)]
pub(super) struct Conjunction<'s> {
    pub(super) parts: Vec<&'s Map<String, Value>>,
}

impl<'s> Conjunction<'s> {
    /// What the parts say by this keyword.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &'s Value> {
        self.parts.iter().filter_map(move |part| part.get(keyword))
    }

    fn has(&self, keyword: &str) -> bool {
        self.all(keyword).next().is_some()
    }

    /// The greatest number given by this keyword: the bound that counts, of lower ones.
    pub(super) fn greatest(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(Value::as_f64).reduce(f64::max)
    }

    /// The least number given by this keyword: the bound that counts, of upper ones.
    pub(super) fn least(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(Value::as_f64).reduce(f64::min)
    }

    /// At least how many, by this keyword, but no more than `most`.
    pub(super) fn at_least(&self, keyword: &str, most: usize) -> usize {
        self.all(keyword).filter_map(count).max().unwrap_or(0).min(most)
    }

    /// At most how many, by this keyword.
    pub(super) fn at_most(&self, keyword: &str) -> usize {
        self.all(keyword).filter_map(count).min().unwrap_or(usize::MAX)
    }

    /// The texts in the lists given by this keyword.
    pub(super) fn listed(&self, keyword: &str) -> impl Iterator<Item = &'s str> {
        self.all(keyword).filter_map(Value::as_array).flatten().filter_map(Value::as_str)
    }

    /// The type to make: the first that is allowed, or the one that the other keywords are about.
    pub(super) fn kind(&self) -> &'s str {
        if let Some(first) = self.all("type").next() {
            return types(first).chain(["integer"]).find(|kind| self.allows(kind)).unwrap_or("null");
        }
        let about: [(&[&str], &str); 4] = [
            (
                &["properties", "required", "additionalProperties", "patternProperties", "minProperties"],
                "object",
            ),
            (&["items", "prefixItems", "contains", "minItems", "uniqueItems"], "array"),
            (&["pattern", "format", "minLength", "maxLength"], "string"),
            (&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"], "number"),
        ];
        let found = about.iter().find(|(keywords, _)| keywords.iter().any(|keyword| self.has(keyword)));
        found.map_or("string", |(_, kind)| kind)
    }

    fn allows(&self, kind: &str) -> bool {
        self.all("type").all(|given| {
            types(given).any(|allowed| allowed == kind || (allowed == "number" && kind == "integer"))
        })
    }

    /// Whether a value breaks no rule that is seen without looking into it, patterns apart.
    pub(super) fn fits(&self, value: &Value) -> bool {
        let within = |size: usize, least: &str, most: &str| {
            self.at_least(least, usize::MAX) <= size && size <= self.at_most(most)
        };
        let shape = match value {
            Value::Null => self.allows("null"),
            Value::Bool(_) => self.allows("boolean"),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                self.allows(if number.fract() == 0.0 { "integer" } else { "number" }) && self.holds(number)
            }
            Value::String(text) => {
                self.allows("string") && within(text.chars().count(), "minLength", "maxLength")
            }
            Value::Array(items) => self.allows("array") && within(items.len(), "minItems", "maxItems"),
            Value::Object(members) => {
                self.allows("object")
                    && within(members.len(), "minProperties", "maxProperties")
                    && self.listed("required").all(|name| members.contains_key(name))
            }
        };
        shape
            && self.all("const").all(|only| only == value)
            && self.all("enum").filter_map(Value::as_array).all(|values| values.contains(value))
    }

    /// Whether a number is within the bounds and a multiple of what it has to be.
    pub(super) fn holds(&self, number: f64) -> bool {
        let multiple = |of: f64| {
            let times = number / of;
            (times - times.round()).abs() <= 1e-9
        };
        self.greatest("minimum").is_none_or(|bound| number >= bound)
            && self.least("maximum").is_none_or(|bound| number <= bound)
            && self.greatest("exclusiveMinimum").is_none_or(|bound| number > bound)
            && self.least("exclusiveMaximum").is_none_or(|bound| number < bound)
            && self.all("multipleOf").filter_map(Value::as_f64).all(multiple)
    }
}

fn types(given: &Value) -> impl Iterator<Item = &str> {
    let list = given.as_array().map(Vec::as_slice).unwrap_or_default();
    given.as_str().into_iter().chain(list.iter().filter_map(Value::as_str))
}

/// A count, which JSON Schema lets one write as `2.0` too.
pub(super) fn count(value: &Value) -> Option<usize> {
    let whole = value.as_u64().or_else(|| format!("{:.0}", value.as_f64()?).parse().ok())?;
    usize::try_from(whole).ok()
}
