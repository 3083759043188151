//! Prints a value into a prompt: what kind of value decides how it is escaped, and no template can change that.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::escape;

/// How a [`Printed`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Prompt,
    AsIs,
}

/// A text with its own rule. In every use but printing it is its plain text, which is escaped as data.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) rule: Rule,
    pub(super) text: String,
}

impl Object for Printed {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.text.is_empty()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.text.cmp(&other.downcast_ref::<Self>()?.text))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The environment's formatter.
pub(super) fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = if let Some(printed) = value.downcast_object_ref::<Printed>() {
        match printed.rule {
            Rule::Prompt => out.write_str(&escape::prompt(&printed.text)),
            Rule::AsIs => out.write_str(&printed.text),
        }
    } else if let Some(text) = value.as_str() {
        // Safe text was printed by this function before: captures, macros, blocks.
        if value.is_safe() { out.write_str(text) } else { out.write_str(&escape::data(text)) }
    } else {
        match value.kind() {
            ValueKind::None => Ok(()),
            // As in JSON, which parameters and schemas are: minijinja writes `True`.
            ValueKind::Bool | ValueKind::Seq | ValueKind::Map => {
                out.write_str(&as_json(value, Style::Compact)?)
            }
            _ => out.write_str(&escape::data(&value.to_string())),
        }
    };
    written.map_err(Error::from)
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Compact,
    Pretty,
}

/// A value as JSON that holds no tags.
pub(super) fn as_json(value: &Value, style: Style) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let written = match style {
        Style::Compact => serde_json::to_string(value),
        Style::Pretty => serde_json::to_string_pretty(value),
    };
    let text = written.map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "the value has no JSON form").with_source(error)
    })?;
    Ok(escape::escape_json(&text))
}
