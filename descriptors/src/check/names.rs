//! Rules of names: what they look like, that they are unique, that relationships and `extends` point elsewhere.

use std::collections::HashMap;

use crate::{
    check::{findings::Findings, limits},
    descriptor::{RelationshipKind, SCHEMA},
    node::{At, Content, child},
    words::{is_name, is_type_name, meant, one_of, quoted},
};

pub(super) fn check(root: &At<'_>, findings: &mut Findings) {
    if let Some((at, text)) = root.text_of("schema")
        && text != SCHEMA
    {
        findings.problem(&at, format!("{} is not the format's name; write {SCHEMA}", quoted(text)));
    }
    let own = root.text_of("name").map(|(at, name)| {
        if !is_name(name) {
            findings.problem(&at, name_message(name, "a module name"));
        }
        name
    });
    if let Some((at, text)) = root.text_of("version") {
        version(&at, text, findings);
    }
    unique(&root.items_of("capabilities"), "capability", is_name, findings);
    unique(&root.items_of("data_types"), "data type", is_type_name, findings);
    relationships(root, own, findings);
    if let Some((at, other)) = root.key("context").and_then(|context| context.text_of("extends")) {
        if !is_name(other) {
            findings.problem(&at, name_message(other, "a module name"));
        } else if Some(other) == own {
            findings.problem(&at, "a module cannot extend itself; name another module, or leave extends out");
        }
    }
    if let Some(at) = root
        .key("capabilities")
        .filter(|at| at.items().is_empty())
        .or_else(|| root.node.entry("capabilities").is_none().then(|| root.clone()))
        && matches!(at.node.content, Content::List(_) | Content::Map(_))
    {
        let at = At { node: at.node, path: child("", "capabilities") };
        findings.warning(&at, "none; other modules cannot see what this one can do");
    }
}

fn version(at: &At<'_>, text: &str, findings: &mut Findings) {
    if text.len() > limits::VERSION_BYTES {
        findings
            .problem(at, format!("{} bytes; at most {}: make it shorter", text.len(), limits::VERSION_BYTES));
    } else if let Err(error) = semver::Version::parse(text) {
        findings.problem(
            at,
            format!(
                "{} is not a version ({error}); write three numbers such as \"1.0.0\", as semver.org says",
                quoted(text)
            ),
        );
    }
}

fn name_message(name: &str, what: &str) -> String {
    let suggestion = suggested(name);
    let remedy = "use lower-case letters, digits, _ and -, beginning with a letter, at most 63 characters";
    match suggestion {
        Some(suggestion) => format!("{} is not {what}; {remedy}, such as {suggestion:?}", quoted(name)),
        None => format!("{} is not {what}; {remedy}", quoted(name)),
    }
}

/// The name that was probably meant.
fn suggested(name: &str) -> Option<String> {
    let mut made = String::new();
    for character in name.trim().chars() {
        match character {
            'a'..='z' | '0'..='9' | '_' | '-' => made.push(character),
            'A'..='Z' => made.push(character.to_ascii_lowercase()),
            ' ' | '.' | '/' => made.push('_'),
            _ => return None,
        }
    }
    is_name(&made).then_some(made)
}

fn unique(items: &[At<'_>], what: &str, allowed: fn(&str) -> bool, findings: &mut Findings) {
    let mut first: HashMap<&str, &At<'_>> = HashMap::new();
    for item in items {
        let Some((at, name)) = item.text_of("name") else { continue };
        if !allowed(name) {
            let message = if what == "data type" {
                format!(
                    "{} is not a data type's name; use letters, digits, _, - and ., beginning with a letter, at most 63 characters",
                    quoted(name)
                )
            } else {
                name_message(name, "a capability name")
            };
            findings.problem(&at, message);
        } else if let Some(before) = first.get(name) {
            findings.problem(
                &at,
                format!(
                    "{} is the name of {} too (line {}); rename one",
                    quoted(name),
                    before.path,
                    before.node.place.line
                ),
            );
        } else {
            first.insert(name, item);
        }
    }
}

fn relationships(root: &At<'_>, own: Option<&str>, findings: &mut Findings) {
    let mut first: HashMap<(&str, &str), String> = HashMap::new();
    for item in root.items_of("relationships") {
        let module = item.text_of("module");
        if let Some((at, name)) = &module {
            if !is_name(name) {
                findings.problem(at, name_message(name, "a module name"));
            } else if Some(*name) == own {
                findings
                    .problem(at, "a relationship to the module itself; name another module, or take it out");
            }
        }
        let Some(kind) = item.key("kind") else { continue };
        let known = RelationshipKind::ALL.map(RelationshipKind::as_str);
        let word = kind.text().unwrap_or(&kind.node.spelling);
        if !known.contains(&word) {
            let remedy = match meant(&word.replace('-', "_"), known) {
                Some(candidate) => format!("did you mean {candidate:?}?"),
                None => format!("write {}", one_of(&known)),
            };
            findings.problem(&kind, format!("{} is not a kind of relationship; {remedy}", quoted(word)));
        } else if let Some((_, name)) = module {
            if let Some(before) = first.get(&(name, word)) {
                findings.problem(&item, format!("says the same as {before} ({word} {name}); keep one"));
            } else {
                first.insert((name, word), item.path.clone());
            }
        }
    }
}
