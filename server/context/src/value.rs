//! What templates are given: texts of modules as lines or paragraphs, JSON, and what was said. How each is escaped is
//! the templates' matter.

use std::fmt::Write as _;

use minijinja::Value;

use crate::templates::escape;

/// A text on one line: names, titles, descriptions in lists.
pub(crate) fn line(text: &str) -> Value {
    Value::from(escape::one_line(text))
}

/// A text that may have several lines; blank ones around it go.
pub(crate) fn paragraph(text: &str) -> Value {
    Value::from(text.trim())
}

/// What the asker, Claude or a system said: only what looks like one of our tags is changed.
pub(crate) fn said(text: &str) -> Value {
    escape::prompt_text(text)
}

/// JSON on one line: a third of the tokens of an indented one are spaces and line ends.
pub(crate) fn json(value: &serde_json::Value) -> Value {
    let mut line = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' => line.push_str("\\u003c"),
            '>' => line.push_str("\\u003e"),
            '&' => line.push_str("\\u0026"),
            // Delete and the C1 controls, which JSON allows in strings and no reader sees.
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(line, "\\u{:04x}", u32::from(character))
                    .expect("a string takes all that is written to it");
            }
            _ => line.push(character),
        }
    }
    escape::trusted(line)
}

/// JSON on one line, or none.
pub(crate) fn json_or_none(value: Option<&serde_json::Value>) -> Value {
    value.map_or_else(|| Value::from(()), json)
}
