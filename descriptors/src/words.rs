//! Names and the words of messages: what a name may look like, what was probably meant, how values are shown. Knows no
//! descriptor.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest name, in bytes.
pub(crate) const NAME_BYTES: usize = 63;

/// Whether it is `^[a-z][a-z0-9_-]{0,62}$`, as modules, capabilities, templates and instances are named.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAME_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

/// Whether it is `^[A-Za-z][A-Za-z0-9_.-]{0,62}$`, as data types are named.
pub(crate) fn is_type_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAME_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// The one of `known` that was probably meant by `word`.
pub(crate) fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or what to do instead.
pub(crate) fn did_you_mean<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
    otherwise: &str,
) -> String {
    match meant(word, known) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => otherwise.to_owned(),
    }
}

/// A value as messages show it: JSON, cut at 60 characters.
pub(crate) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A text as messages show it: in quotes, cut at 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    let short = cut(text);
    format!("{short:?}")
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn one_of<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}

/// Whether YAML refuses the character as itself; JSON and quoted YAML have `\uXXXX` for it.
pub(crate) fn needs_escape(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// JSON with such characters escaped; they can only be in its texts.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if needs_escape(character) {
            write!(escaped, "\\u{:04x}", u32::from(character)).expect("writing to memory does not fail");
        } else {
            escaped.push(character);
        }
    }
    escaped
}
