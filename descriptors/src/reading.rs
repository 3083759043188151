//! Text to content: YAML, and JSON, which one YAML parser reads too. Bounds what a text may cost. Knows not what a
//! descriptor is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_yaml::{Spanned, budget::BudgetBreach};

use crate::{
    check::limits,
    node::{Content, Entry, Node, Place},
    problem::Problem,
    words::escaped_json,
};

/// What a text comes to at most, after aliases are replaced by what they stand for.
const VALUES: usize = 100_000;
/// Of these, what aliases bring at most. Replaying is slower than reading.
const REPLAYED: usize = 20_000;

/// Reads a text.
///
/// # Errors
/// The one problem that makes it unreadable: too large, empty, or neither YAML nor JSON.
pub(crate) fn read(text: &str) -> Result<Node, Problem> {
    if text.len() > limits::TEXT_BYTES {
        return Err(Problem::of_text(format!(
            "{} bytes of text; a descriptor has at most {} (512 KiB): move long material into files",
            text.len(),
            limits::TEXT_BYTES
        )));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escaped;
    let text = if begins_as_json(text) {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| json_problem(&error))?;
        // JSON may hold characters that the YAML parser takes escaped only.
        escaped = escaped_json(text);
        escaped.as_str()
    } else {
        text
    };
    let mut root: Node =
        serde_yaml::from_str_with_options(text, options()).map_err(|error| yaml_problem(&error))?;
    if root.content == Content::Null {
        return Err(Problem::of_text(
            "empty; a descriptor begins with \"schema: claude-comms/module/v1\" and has name, version and description",
        ));
    }
    spell(&mut root, &text.lines().map(Line::new).collect::<Vec<_>>());
    Ok(root)
}

/// `{"` is JSON, which is strict: YAML would let a trailing comma pass, the next JSON reader would not.
fn begins_as_json(text: &str) -> bool {
    text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

fn options() -> serde_yaml::Options {
    // JSON and YAML of one content must read alike: only `true` and `false` are truth values, `010` and `1_000` are
    // texts, and `<<` is no instruction. Duplicate keys are passed on, to be reported with both places.
    serde_yaml::options! {
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_yaml::MergeKeyPolicy::Error,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        emit_comments: false,
        with_snippet: false,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: REPLAYED },
        budget: serde_yaml::budget! {
            max_depth: limits::DEPTH,
            max_nodes: VALUES,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
    }
}

fn json_problem(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    Problem {
        path: String::new(),
        line: u32::try_from(error.line()).ok().filter(|line| *line > 0),
        column: u32::try_from(error.column()).ok().filter(|column| *column > 0),
        message: match message {
            _ if message.contains("recursion limit") => too_deep(),
            "key must be a string" => {
                "not JSON: a key in double quotes must be here; is there a comma too many, or \
                 a comment, which JSON has not?"
                    .to_owned()
            }
            "expected value" | "trailing comma" => {
                "not JSON: a value must be here; is there a comma too many before it?".to_owned()
            }
            _ if message.starts_with("EOF") => {
                format!("not JSON: the text ends too early ({message}); is the file complete?")
            }
            _ => format!("not JSON: {message}"),
        },
    }
}

fn too_deep() -> String {
    format!("nested deeper than {} levels; make it flatter", limits::DEPTH)
}

fn too_much() -> String {
    format!(
        "comes to too much: more than {VALUES} values, or aliases (*name) for more than {REPLAYED}; use fewer aliases"
    )
}

fn yaml_problem(error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error;
    let place = error.location().map(place_of);
    let full = error.without_snippet().to_string();
    let plain = full.split(" at line ").next().unwrap_or(&full);
    let message = match error.without_snippet() {
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins before here; a descriptor is one document: \
             give each module a file of its own"
                .to_owned()
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. } => too_much(),
        Error::MergeKeyNotAllowed { .. } => {
            "merge keys (<<) are not read here; write the keys out, or quote it if \"<<\" is a key".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias inside what it stands for has no end; write the value out".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "no anchor (&name) before here has this alias's name; if it is text, put it in quotes".to_owned()
        }
        Error::NonFiniteFloat { .. } => {
            "not a finite number, which JSON cannot hold; write a number within range or put it in quotes"
                .to_owned()
        }
        Error::NullIntoString { .. } => "a key is text; put it in quotes".to_owned(),
        _ if plain.contains("expected string scalar") => {
            "a key is text, not a list or a mapping; put it in quotes".to_owned()
        }
        _ if plain.contains("recursion limit") => too_deep(),
        _ if plain.contains("alias replay") || plain.contains("alias expansion") => too_much(),
        _ if plain.contains("tabs") => {
            "a tab in the indentation, which YAML does not allow; use spaces".to_owned()
        }
        _ if plain.contains("mapping values are not allowed") => {
            "not YAML: a \": \" where none can be; put the text in quotes".to_owned()
        }
        _ if plain.starts_with("unexpected character") => {
            format!("not YAML: {plain}; take it out, or escape it in double quotes")
        }
        _ if plain.starts_with("unclosed") => format!("not YAML: {plain} that begins here; close it"),
        _ => format!("not YAML: {plain}"),
    };
    Problem {
        path: String::new(),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        message,
    }
}

fn place_of(location: serde_yaml::Location) -> Place {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Place { line: small(location.line()), column: small(location.column()) }
}

/// A line, and where in it every so many characters begin: JSON is often one line of half a million of them.
struct Line<'a> {
    text: &'a str,
    marks: Vec<usize>,
}

impl<'a> Line<'a> {
    const CHARACTERS: usize = 256;

    fn new(text: &'a str) -> Self {
        Self { text, marks: text.char_indices().step_by(Self::CHARACTERS).map(|(at, _)| at).collect() }
    }

    /// The characters after so many of them.
    fn after(&self, characters: usize) -> impl Iterator<Item = char> + use<'a> {
        let mark = self.marks.get(characters / Self::CHARACTERS).copied().unwrap_or(self.text.len());
        self.text[mark..].chars().skip(characters % Self::CHARACTERS)
    }
}

/// Notes how scalars are spelled: a message about `1.0` must not say `1`.
fn spell(node: &mut Node, lines: &[Line<'_>]) {
    match &mut node.content {
        Content::Bool(_) | Content::Number(_) | Content::Text(_) => {
            let line = lines.get(node.place.line as usize - 1);
            node.spelling = line
                .into_iter()
                .flat_map(|line| line.after(node.place.column as usize - 1))
                .take_while(|character| !character.is_whitespace() && !matches!(character, ',' | ']' | '}'))
                .take(60)
                .collect();
            // A literal block's place is its first line, below the sign.
            let above = (node.place.line as usize).checked_sub(2).and_then(|index| lines.get(index));
            let sign = above.and_then(|above| above.text.split_whitespace().next_back());
            node.literal =
                matches!(node.content, Content::Text(_)) && sign.is_some_and(|sign| sign.starts_with('|'));
        }
        Content::List(items) => items.iter_mut().for_each(|item| spell(item, lines)),
        Content::Map(entries) => entries.iter_mut().for_each(|entry| spell(&mut entry.value, lines)),
        Content::Null => {}
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        // Where it is defined, not where an alias uses it: there it is to be repaired.
        Ok(Self {
            place: place_of(spanned.defined),
            content: spanned.value,
            spelling: String::new(),
            literal: false,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Content, E> {
        Ok(Content::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Content, E> {
        Number::from_f64(number).map(Content::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let value = access.next_value()?;
            entries.push(Entry { key: key.value, place: place_of(key.defined), value });
        }
        Ok(Content::Map(entries))
    }
}
