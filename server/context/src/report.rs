//! What a composed text holds and what was left out of it, in figures.

use serde::{Deserialize, Serialize};

use crate::sections;
use crate::tokens::estimate_tokens;

/// A composed system prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The text that Claude gets; may be empty where there is neither source nor target.
    pub text: String,
    /// What it holds and what it does not.
    pub report: Report,
}

/// A composed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text that Claude gets.
    pub text: String,
    /// The template it was rendered by, with its version: `query@1.0.0`.
    pub template: String,
    /// What it holds and what it does not.
    pub report: Report,
}

/// What a composed text holds and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The text's sections in their order; what stands outside of all tags is the section `text`.
    pub sections: Vec<SectionReport>,
    /// What was left out.
    pub omitted: Vec<Omitted>,
    /// Tokens of the whole text: of its sections, and one for each end of one.
    pub tokens: u32,
    /// Tokens that the conversation's system prompt and one message may have together.
    pub token_budget: u32,
}

impl Report {
    /// Of a text that was composed before: its sections and tokens. What was left out of it, and for which budget, no
    /// text tells: these are empty.
    pub fn of_text(text: &str, place: Place) -> Self {
        let (sections, tokens) = measure(text, place);
        Self { sections, tokens, ..Self::default() }
    }
}

/// One section of a composed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionReport {
    /// The section's name, which is its tag: `glossary`.
    pub name: String,
    /// The name as people read it.
    pub title: String,
    /// Which text it stands in.
    pub place: Place,
    /// Its tokens.
    pub tokens: u32,
    /// Its bytes.
    pub bytes: u32,
}

/// Which of the two texts a section stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The system prompt of the conversation.
    System,
    /// The message of one turn.
    Message,
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// The section it would stand in.
    pub section: String,
    /// What it is: `capability import_documents`.
    pub what: String,
    /// Why: `token budget` or `asked to be left out`.
    pub why: String,
    /// Tokens that it would take, about.
    pub tokens: u32,
}

pub(crate) const TOKEN_BUDGET: &str = "token budget";
pub(crate) const ASKED: &str = "asked to be left out";

/// The sections of a text, found by their tags, and their tokens together. Whatever is not our own template text is
/// escaped, so nothing else looks like one of them.
pub(crate) fn measure(text: &str, place: Place) -> (Vec<SectionReport>, u32) {
    let mut found: Vec<SectionReport> = Vec::new();
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, name, inside, after)) = next_section(rest) {
        outside.push_str(before);
        found.push(section(name, sections::title(name), inside, place));
        rest = after;
    }
    outside.push_str(rest);
    if !outside.trim().is_empty() {
        found.push(section("text", "Other text", &outside, place));
    }
    // A line end between two sections counts with neither.
    let tokens = found.iter().map(|section| section.tokens.saturating_add(1)).fold(0, u32::saturating_add);
    (found, tokens)
}

/// The first section: what is before it, its name, the whole of it, what comes after.
fn next_section(text: &str) -> Option<(&str, &'static str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('<').map(|at| from + at) {
        let name = sections::names()
            .find(|name| text[open + 1..].strip_prefix(name).is_some_and(|rest| rest.starts_with('>')));
        if let Some(name) = name {
            let close = format!("</{name}>");
            if let Some(length) = text[open..].find(&close) {
                let end = open + length + close.len();
                return Some((&text[..open], name, &text[open..end], &text[end..]));
            }
        }
        from = open + 1;
    }
    None
}

fn section(name: &str, title: &str, text: &str, place: Place) -> SectionReport {
    SectionReport {
        name: name.to_owned(),
        title: title.to_owned(),
        place,
        tokens: estimate_tokens(text),
        bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
    }
}
