//! One template file, read and checked. Must not know other templates: what needs the namespace (does the parent exist,
//! which parameters are inherited) is checked where the namespace is made.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::front_matter::{self, FrontMatter};
use super::syntax::{self, Body};

/// Most bytes of a template file.
pub const MAX_BYTES: usize = 64 * 1024;

/// Variables that every template has; no parameter may take their names.
pub const RESERVED: [&str; 11] = [
    "prompt",
    "source",
    "target",
    "relationship",
    "capability",
    "output",
    "history",
    "conversation",
    "sections",
    "answer",
    "parameters",
];

/// What a template wants of the turn's prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRule {
    /// There must be one.
    Required,
    /// There may be one.
    Optional,
    /// The template shows none, and a prompt is an error.
    Unused,
}

impl PromptRule {
    /// The name in a template file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Unused => "unused",
        }
    }
}

/// A value that a template takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// What it must be: a JSON Schema 2020-12, checked.
    pub schema: Value,
    /// What it is when it is not given; fits the schema.
    pub default: Option<Value>,
    /// Whether it must be given. One that need not be and has no default is `none` in the template.
    pub required: bool,
    /// What it is, in words; the schema's `description`.
    pub description: String,
}

/// A template file.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateFile {
    /// Its version, as of semver.org; `1.0.0` if the file does not say.
    pub version: String,
    /// What it is for; may be empty.
    pub description: String,
    /// What it wants of the prompt; `None` if the file does not say: then it is as of the template it extends, and
    /// [`PromptRule::Required`] at the end of that chain.
    pub prompt: Option<PromptRule>,
    /// Its own parameters by name, without those of the template it extends.
    pub parameters: BTreeMap<String, Parameter>,
    /// The minijinja text after the front matter, with `\n` line ends.
    pub body: String,
    /// The line of the file at which the body starts, from 1.
    pub body_line: u32,
    /// The name in its `{% extends "name" %}`.
    pub extends: Option<String>,
    /// The names in its `{% include "name" %}`, each once, sorted.
    pub includes: Vec<String>,
}

/// Why a template file is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TemplateProblem {
    /// The line in the file, from 1, where it can be told.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl TemplateProblem {
    pub(super) fn new(line: impl Into<Option<u32>>, message: impl Into<String>) -> Self {
        Self { line: line.into(), message: message.into() }
    }
}

impl TemplateFile {
    /// Reads a template file.
    ///
    /// # Errors
    ///
    /// The first problem: too large, front matter that is not what it should be, a body that minijinja does not
    /// compile or that uses what templates may not use (see [`syntax`]).
    pub fn parse(text: &str) -> Result<Self, TemplateProblem> {
        if text.len() > MAX_BYTES {
            let message = format!("a template has at most {MAX_BYTES} bytes, this one has {}", text.len());
            return Err(TemplateProblem::new(None, message));
        }
        if let Some(at) = text.find('\0') {
            let line = 1 + text[..at].matches('\n').count();
            return Err(TemplateProblem::new(u32::try_from(line).ok(), "a template holds no NUL characters"));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let (head, body, body_line) = front_matter::split(&text)?;
        let FrontMatter { version, description, prompt, parameters } = front_matter::read(head)?;
        let Body { extends, includes } = syntax::check(body, body_line)?;
        Ok(Self {
            version,
            description,
            prompt,
            parameters,
            body: body.to_owned(),
            body_line,
            extends,
            includes,
        })
    }
}
