//! Rules of texts and lists: how long, how many, one line or several, no control characters.

use crate::{
    check::{findings::Findings, limits},
    node::{At, Content},
    words::quoted,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    Allowed,
    /// Not allowed; what to do.
    Refused(&'static str),
}

const SAY_WHAT: Empty = Empty::Refused("say in one to five sentences what it is and does");
const OR_TAKE_OUT: Empty = Empty::Refused("write something, or take it out");

pub(super) fn check(root: &At<'_>, findings: &mut Findings) {
    one_line(root.key("name"), findings);
    one_line(root.key("version"), findings);
    text(root.key("title"), limits::TITLE_BYTES, Lines::One, Empty::Allowed, findings);
    text(root.key("description"), limits::DESCRIPTION_BYTES, Lines::Many, SAY_WHAT, findings);
    tags(root, findings);
    count(root.key("capabilities"), limits::CAPABILITIES, "capabilities", findings);
    for capability in root.items_of("capabilities") {
        one_line(capability.key("name"), findings);
        text(capability.key("description"), limits::DESCRIPTION_BYTES, Lines::Many, SAY_WHAT, findings);
        tags(&capability, findings);
        for example in capability.items_of("examples") {
            text(
                example.key("description"),
                limits::DESCRIPTION_BYTES,
                Lines::Many,
                Empty::Allowed,
                findings,
            );
        }
    }
    count(root.key("data_types"), limits::DATA_TYPES, "data types", findings);
    for data_type in root.items_of("data_types") {
        text(data_type.key("media_type"), limits::TITLE_BYTES, Lines::One, Empty::Allowed, findings);
        text(data_type.key("description"), limits::DESCRIPTION_BYTES, Lines::Many, Empty::Allowed, findings);
    }
    count(root.key("relationships"), limits::RELATIONSHIPS, "relationships", findings);
    for relationship in root.items_of("relationships") {
        text(
            relationship.key("description"),
            limits::DESCRIPTION_BYTES,
            Lines::Many,
            Empty::Allowed,
            findings,
        );
    }
    if let Some(context) = root.key("context") {
        context_texts(&context, findings);
    }
    if let Some(files) = root.key("files") {
        count(files.key("read"), limits::FILES, "file patterns", findings);
        for pattern in files.items_of("read") {
            file_pattern(&pattern, findings);
        }
    }
}

fn context_texts(context: &At<'_>, findings: &mut Findings) {
    text(context.key("role"), limits::ROLE_BYTES, Lines::Many, Empty::Allowed, findings);
    text(context.key("instructions"), limits::ROLE_BYTES, Lines::Many, Empty::Allowed, findings);
    count(context.key("constraints"), limits::CONSTRAINTS, "constraints", findings);
    for constraint in context.items_of("constraints") {
        text(Some(constraint), limits::DESCRIPTION_BYTES, Lines::Many, OR_TAKE_OUT, findings);
    }
    let Some(glossary) = context.key("glossary") else { return };
    count(Some(glossary.clone()), limits::GLOSSARY, "words in the glossary", findings);
    for (word, place, meaning) in glossary.entries() {
        if word.trim().is_empty() || word.chars().any(char::is_control) || word.len() > limits::TITLE_BYTES {
            findings.problem_at(
                glossary.path.clone(),
                place,
                format!(
                    "{} is no word; write one line of at most {} bytes",
                    quoted(word),
                    limits::TITLE_BYTES
                ),
            );
        }
        text(Some(meaning), limits::DESCRIPTION_BYTES, Lines::Many, OR_TAKE_OUT, findings);
    }
}

fn tags(holder: &At<'_>, findings: &mut Findings) {
    count(holder.key("tags"), limits::TAGS, "tags", findings);
    for tag in holder.items_of("tags") {
        text(Some(tag), limits::TAG_BYTES, Lines::One, OR_TAKE_OUT, findings);
    }
}

fn count(at: Option<At<'_>>, most: usize, what: &str, findings: &mut Findings) {
    let Some(at) = at else { return };
    let number = match &at.node.content {
        Content::List(items) => items.len(),
        Content::Map(entries) => entries.len(),
        _ => 0,
    };
    if number > most {
        findings
            .problem(&at, format!("{number} {what}; at most {most}: leave some out, or make two modules"));
    }
}

fn one_line(at: Option<At<'_>>, findings: &mut Findings) {
    let Some((at, content)) = at.as_ref().and_then(|at| Some((at, at.text()?))) else { return };
    control(at, content, Lines::One, findings);
}

fn text(at: Option<At<'_>>, most_bytes: usize, lines: Lines, empty: Empty, findings: &mut Findings) {
    let Some((at, content)) = at.as_ref().and_then(|at| Some((at, at.text()?))) else { return };
    if let Empty::Refused(remedy) = empty
        && content.trim().is_empty()
    {
        findings.problem(at, format!("empty; {remedy}"));
    }
    if content.len() > most_bytes {
        findings.problem(at, format!("{} bytes; at most {most_bytes}: make it shorter", content.len()));
    }
    control(at, content, lines, findings);
}

fn control(at: &At<'_>, content: &str, lines: Lines, findings: &mut Findings) {
    let bad = content.chars().find(|character| match lines {
        Lines::One => character.is_control(),
        Lines::Many => character.is_control() && !matches!(character, '\n' | '\r' | '\t'),
    });
    match bad {
        Some('\n' | '\r') => findings.problem(at, "more than one line; write one line"),
        Some(bad) => {
            findings
                .problem(at, format!("holds the control character U+{:04X}; take it out", u32::from(bad)));
        }
        None => {}
    }
}

fn file_pattern(at: &At<'_>, findings: &mut Findings) {
    let Some(pattern) = at.text() else { return };
    let drive = pattern.as_bytes().get(1) == Some(&b':') && pattern.as_bytes()[0].is_ascii_alphabetic();
    if pattern.trim().is_empty() {
        findings.problem(at, "empty; write a pattern such as \"docs/**\", or take it out");
    } else if pattern.starts_with(['/', '~']) || drive {
        findings.problem(
            at,
            format!(
                "{} is absolute; write it relative to the module's path, such as \"docs/**\"",
                quoted(pattern)
            ),
        );
    } else if pattern.contains('\\') {
        findings.problem(at, format!("{} has a backslash; write / between folders", quoted(pattern)));
    } else if pattern.split('/').any(|part| part == "..") {
        findings.problem(
            at,
            format!("{} leaves the module's path by ..; name what is below it", quoted(pattern)),
        );
    } else {
        text(Some(at.clone()), limits::TITLE_BYTES, Lines::One, Empty::Allowed, findings);
    }
}
