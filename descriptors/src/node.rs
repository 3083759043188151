//! The content of a text with the place of every value and key. Knows neither YAML nor what a descriptor is.

use serde_json::{Map, Number, Value};

/// Where something begins in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: u32,
    /// In characters, from 1.
    pub(crate) column: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
    /// How a number, a truth value or the beginning of a text is spelled in the source.
    pub(crate) spelling: String,
    /// Whether it is a literal block (`|`), whose lines are those of the source.
    pub(crate) literal: bool,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text, with duplicates.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// The value without places; of duplicate keys the last one counts.
    pub(crate) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(flag) => Value::Bool(*flag),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The last entry of that key, which is the one that counts.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }
}

/// A node and how one gets there from the root.
#[derive(Debug, Clone)]
pub(crate) struct At<'n> {
    pub(crate) node: &'n Node,
    /// `capabilities[2].input`; empty at the root.
    pub(crate) path: String,
}

impl<'n> At<'n> {
    pub(crate) fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    /// The value of a key; an explicit null counts as absent.
    pub(crate) fn key(&self, key: &str) -> Option<Self> {
        let entry = self.node.entry(key)?;
        (entry.value.content != Content::Null)
            .then(|| Self { node: &entry.value, path: child(&self.path, key) })
    }

    pub(crate) fn items(&self) -> Vec<Self> {
        match &self.node.content {
            Content::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Self { node, path: format!("{}[{index}]", self.path) })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The items of a key's list.
    pub(crate) fn items_of(&self, key: &str) -> Vec<Self> {
        self.key(key).map(|list| list.items()).unwrap_or_default()
    }

    /// The keys of a mapping with their places, and their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'n str, Place, Self)> {
        let path = self.path.clone();
        self.node.entries().iter().map(move |entry| {
            let at = Self { node: &entry.value, path: child(&path, &entry.key) };
            (entry.key.as_str(), entry.place, at)
        })
    }

    pub(crate) fn text(&self) -> Option<&'n str> {
        match &self.node.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key, if it is a text.
    pub(crate) fn text_of(&self, key: &str) -> Option<(Self, &'n str)> {
        let at = self.key(key)?;
        let text = at.text()?;
        Some((at, text))
    }

    /// What a JSON pointer leads to, as far as it leads.
    pub(crate) fn follow(&self, pointer: &str) -> Self {
        let mut at = self.clone();
        for step in steps(pointer) {
            let next = match &at.node.content {
                Content::Map(_) => at
                    .node
                    .entry(&step)
                    .map(|entry| Self { node: &entry.value, path: child(&at.path, &step) }),
                Content::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|node| Self { node, path: format!("{}[{step}]", at.path) }),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }
}

/// The unescaped steps of a JSON pointer.
pub(crate) fn steps(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}

/// The path of a key below a path: `a.b`, or `a["b c"]` if the key is no plain word.
pub(crate) fn child(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '$'));
    if !plain {
        format!("{path}[{}]", crate::words::quoted(key))
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
