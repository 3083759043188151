//! JSON as RFC 8259 has it and every reader takes it: no duplicate names, nothing after the value.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value};

use super::finding::Finding;

/// Most duplicate names that are told of.
const DUPLICATES: usize = 20;

/// A text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxProblem {
    /// The text's line, from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads one JSON value; with it, a finding for each name that an object has twice.
pub(super) fn parse(text: &str) -> Result<(Value, Vec<Finding>), SyntaxProblem> {
    let notes = Notes::default();
    let mut deserializer = Deserializer::from_str(text);
    let value = Seed(&notes).deserialize(&mut deserializer).map_err(|error| problem(text, &error))?;
    deserializer.end().map_err(|error| SyntaxProblem {
        line: error.line(),
        message: "the JSON value ends before this, and only one may be here".into(),
    })?;
    Ok((value, notes.duplicates.into_inner()))
}

fn problem(text: &str, error: &serde_json::Error) -> SyntaxProblem {
    let line = error.line().max(1);
    let at_line = text.split('\n').nth(line - 1).unwrap_or_default();
    let near = error.column().saturating_sub(3);
    let near = at_line.get(near..).unwrap_or_default();
    let near = near.get(..12.min(near.len())).unwrap_or(near);
    let told = error.to_string();
    let told = told.split_once(" at line ").map_or(told.as_str(), |(told, _)| told);
    let message = if text.trim().is_empty() {
        "there is nothing here, but a JSON value must be".to_owned()
    } else if ["NaN", "Inf", "nan", "inf"].iter().any(|word| near.contains(word)) {
        "JSON has no NaN and no Infinity; use null or a text, whichever the schema allows".to_owned()
    } else {
        format!("this is not JSON: {told}, column {}", error.column())
    };
    SyntaxProblem { line, message }
}

#[derive(Default)]
struct Notes {
    path: RefCell<Vec<String>>,
    duplicates: RefCell<Vec<Finding>>,
}

impl Notes {
    fn duplicate(&self, name: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < DUPLICATES {
            let path = self.path.borrow().concat();
            let name = super::shortened(name);
            duplicates
                .push(Finding::new(path.trim_start_matches('.'), &format!("has the name {name:?} twice")));
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'a>(&'a Notes);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.path.borrow_mut().push(format!("[{}]", list.len()));
            let item = items.next_element_seed(self);
            self.0.path.borrow_mut().pop();
            match item? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.0.path.borrow_mut().push(format!(".{name}"));
            let value = members.next_value_seed(self);
            self.0.path.borrow_mut().pop();
            let value = value?;
            if map.contains_key(&name) {
                self.0.duplicate(&name);
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
