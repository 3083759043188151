//! How text that is not ours is written into a prompt, so that it can never be taken for our own tags. Pure functions,
//! and the wrappers that tell [`Templates`](super::Templates) which one to use; must not know what the texts are.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::Value;
use serde_json::Value as Json;

use super::print::{Printed, Rule};

/// The names of our tags, lower case. Every tag that a template of ours writes must be here.
pub const TAGS: [&str; 24] = [
    "answer_rules",
    "capabilities",
    "capability",
    "constraints",
    "context",
    "data_types",
    "error",
    "examples",
    "glossary",
    "history",
    "instructions",
    "output_format",
    "parameters",
    "protocol",
    "question",
    "relationship",
    "request",
    "response",
    "role",
    "schema",
    "shared_data_types",
    "source",
    "target",
    "turn",
];

/// Text of a module, escaped: `&`, `<` and `>` become entities, control characters but `\n` and `\t` go.
pub fn data(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    for next in text.chars() {
        match next {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if dropped(next) => {}
            _ => escaped.push(next),
        }
    }
    escaped
}

/// An asker's text, escaped as little as it can be: a `<` that begins one of [`TAGS`] (whatever its case, with `/` and
/// spaces before the name) becomes `&lt;`, control characters but `\n` and `\t` go. Code survives.
pub fn prompt(text: &str) -> String {
    let text: Cow<'_, str> = if text.contains(dropped) {
        text.chars().filter(|next| !dropped(*next)).collect::<String>().into()
    } else {
        text.into()
    };
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        escaped.push_str(before);
        let after = &from[1..];
        escaped.push_str(if begins_tag(after) { "&lt;" } else { "<" });
        rest = after;
    }
    escaped.push_str(rest);
    escaped
}

/// Pretty JSON in which `<`, `>` and `&` are written `\u003c`, `\u003e` and `\u0026`: the same value, and no tags.
pub fn json_text(value: &Json) -> String {
    escape_json(&format!("{value:#}"))
}

/// JSON text with `<`, `>` and `&` escaped; outside strings JSON has none of them.
pub(super) fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    for next in text.chars() {
        match next {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            // Delete and the C1 controls, which JSON allows in strings and no reader sees.
            '\u{7f}'..='\u{9f}' => {
                write!(escaped, "\\u{:04x}", u32::from(next)).expect("a string takes all");
            }
            _ => escaped.push(next),
        }
    }
    escaped
}

/// Text on one line: line ends and runs of spaces become one space, control characters go, the ends are trimmed. Not
/// escaped: that happens when it is printed.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|next: char| next.is_whitespace() || matches!(next, '\u{2028}' | '\u{2029}')) {
        let start = line.len();
        line.extend(word.chars().filter(|next| !next.is_control()));
        if line.len() > start && start > 0 {
            line.insert(start, ' ');
        }
    }
    line
}

/// A variable that is printed by the rule of [`prompt()`].
pub fn prompt_text(text: &str) -> Value {
    Value::from_object(Printed { rule: Rule::Prompt, text: text.to_owned() })
}

/// A variable that is printed as [`json_text`].
pub fn json(value: &Json) -> Value {
    Value::from_object(Printed { rule: Rule::AsIs, text: json_text(value) })
}

/// A variable that is printed as it is. Only for text that our own templates rendered.
pub fn trusted(rendered: String) -> Value {
    Value::from_object(Printed { rule: Rule::AsIs, text: rendered })
}

fn dropped(next: char) -> bool {
    next.is_control() && !matches!(next, '\n' | '\t')
}

/// Whether the text after a `<` makes it one of our tags.
fn begins_tag(after: &str) -> bool {
    let skipped = |next: char| {
        next == '/'
            || next.is_whitespace()
            || matches!(next, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
    };
    let name = after.trim_start_matches(skipped).as_bytes();
    TAGS.iter().any(|tag| name.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag.as_bytes())))
}
