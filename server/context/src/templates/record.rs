//! A template as it is kept: its layer, its name, its text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a template comes from. A later layer wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The server's own; `builtin/name`.
    BuiltIn,
    /// A template directory of the server's configuration; `dirs/name`.
    Directory,
    /// The asked module's descriptor; reachable by its bare name alone.
    Module,
}

impl Layer {
    /// The prefix under which other templates reach a template of this layer.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::BuiltIn => "builtin",
            Self::Directory => "dirs",
            Self::Module => "module",
        }
    }
}

/// A template as it is kept and pinned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateRecord {
    /// Where it comes from.
    pub layer: Layer,
    /// Its name, without prefix.
    pub name: String,
    /// The file's text, front matter included.
    pub text: String,
}

/// What is wrong with one template of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TemplateProblemIn {
    /// The template's name, without prefix.
    pub name: String,
    /// Its layer.
    pub layer: Layer,
    /// The line in its file, from 1, where it can be told.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TemplateProblemIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}/{}", self.layer.prefix(), self.name)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}
