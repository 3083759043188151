//! What is wrong with data, in words short enough to send back.

use std::fmt::{self, Write as _};

use claude_comms_descriptors::template::schema::readable;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::templates::escape::one_line;

/// Most characters of a value that is shown.
const SHOWN: usize = 60;
/// Most characters of a path, and of a text that is shown as it is.
const TEXT: usize = 160;
/// Most names that are listed.
const LISTED: usize = 8;

/// One thing that is wrong with an answer's data. Holds texts of the model: escape it wherever it goes into a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the data, as `rows[3].name`; empty means the whole.
    pub path: String,
    /// What is wrong there, on one line.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl Finding {
    pub(super) fn new(path: &str, message: &str) -> Self {
        Self { path: shortened(&one_line(path)), message: one_line(message) }
    }

    pub(super) fn of(error: &ValidationError<'_>) -> Self {
        Self::new(&readable(error.instance_path().as_str()), &told(error))
    }
}

/// At most 160 characters of a text, with a mark where it goes on.
pub(crate) fn shortened(text: &str) -> String {
    cut(text, TEXT)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The less, the more of the data is wrong by it.
pub(super) fn rank(error: &ValidationError<'_>) -> (usize, u8) {
    let depth = error.instance_path().as_str().matches('/').count();
    let kind = match error.kind() {
        ValidationErrorKind::Type { .. } => 0,
        ValidationErrorKind::Required { .. } => 1,
        ValidationErrorKind::AnyOf { .. }
        | ValidationErrorKind::OneOfNotValid { .. }
        | ValidationErrorKind::OneOfMultipleValid { .. } => 2,
        _ => 3,
    };
    (depth, kind)
}

fn told(error: &ValidationError<'_>) -> String {
    let found = shown(error.instance());
    match error.kind() {
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => {
            format!("must be of type {kind}, not {found}")
        }
        ValidationErrorKind::Type { kind: TypeKind::Multiple(kinds) } => {
            let kinds: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
            format!("must be of type {}, not {found}", kinds.join(" or "))
        }
        ValidationErrorKind::Required { property } => {
            format!("lacks the required member {}", shown(property))
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let names =
                list(unexpected.iter().map(|name| format!("{:?}", cut(name, SHOWN))), unexpected.len());
            format!("may not have {names}")
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            format!("must be one of {}, not {found}", list(options.iter().map(shown), options.len()))
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("must be {}, not {found}", shown(expected_value))
        }
        ValidationErrorKind::Pattern { pattern } => {
            format!("must match the pattern {}, which {found} does not", cut(pattern, TEXT))
        }
        // The validator names no place then.
        ValidationErrorKind::FalseSchema
            if error.schema_path().as_str().ends_with("/additionalProperties") =>
        {
            format!("may have no members, but one is {found}")
        }
        ValidationErrorKind::FalseSchema => format!("may not be here, but is {found}"),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The alternative with the fewest problems is most likely the one that was meant.
            let nearest =
                context.iter().filter(|errors| !errors.is_empty()).min_by_key(|errors| errors.len());
            match nearest.and_then(|errors| errors.first()) {
                Some(first) => {
                    format!("fits none of the alternatives; of the nearest one, {}", Finding::of_plain(first))
                }
                None => "fits none of the alternatives".to_owned(),
            }
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => "fits more than one of the alternatives".to_owned(),
        _ => limited(&error.masked_with(found), 2 * TEXT),
    }
}

impl Finding {
    /// An alternative's problem; alternatives within it are not opened again.
    fn of_plain(error: &ValidationError<'_>) -> String {
        let path = readable(error.instance_path().as_str());
        let message = match error.kind() {
            ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
                "fits none of the alternatives".to_owned()
            }
            _ => told(error),
        };
        if path.is_empty() {
            format!("the whole {message}")
        } else {
            format!("{} {message}", shortened(&path))
        }
    }
}

fn list(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = items.take(LISTED).collect();
    let more = if count > LISTED { format!(" and {} more", count - LISTED) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// A value as JSON, shortened; a large one is not written out first.
pub(super) fn shown(value: &Value) -> String {
    limited(value, SHOWN)
}

fn limited(shown: &impl fmt::Display, most: usize) -> String {
    struct Limited {
        text: String,
        left: usize,
    }
    impl fmt::Write for Limited {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for next in text.chars() {
                self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(next);
            }
            Ok(())
        }
    }
    let mut limited = Limited { text: String::new(), left: most };
    if write!(limited, "{shown}").is_err() {
        limited.text.push('…');
    }
    limited.text
}
