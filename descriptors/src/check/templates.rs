//! A module's templates: their names, their files, which are read here and only below their folder, and their syntax,
//! which the template format checks.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use crate::{
    check::{findings::Findings, limits, parse::TemplateFiles},
    node::{At, Content},
    template::TemplateFile,
    words::{is_name, quoted},
};

/// The template that makes the system prompt. It keeps the answer rules, so no module may replace it.
const RESERVED: &str = "context";

/// A template whose text is known.
#[derive(Debug)]
pub(super) struct Inlined {
    pub(super) name: String,
    pub(super) text: String,
    /// The file it was read from.
    pub(super) file: Option<PathBuf>,
}

pub(super) fn check(root: &At<'_>, files: TemplateFiles<'_>, findings: &mut Findings) -> Vec<Inlined> {
    let Some(templates) = root.key("context").and_then(|context| context.key("templates")) else {
        return Vec::new();
    };
    let number = templates.node.entries().len();
    if number > limits::TEMPLATES {
        findings.problem(
            &templates,
            format!("{number} templates; at most {}: leave some out", limits::TEMPLATES),
        );
        return Vec::new();
    }
    templates
        .entries()
        .filter_map(|(name, place, at)| {
            if name == RESERVED {
                findings.problem_at(
                    at.path.clone(),
                    place,
                    "this template makes the system prompt and is no module's; use role, instructions and constraints, \
                     or name it query, follow_up, multi_turn, response or error",
                );
            } else if !is_name(name) {
                findings.problem_at(
                    at.path.clone(),
                    place,
                    format!(
                        "{} is not a template's name; use lower-case letters, digits, _ and -, beginning with a letter",
                        quoted(name)
                    ),
                );
            }
            template(name, &at, files, findings)
        })
        .collect()
}

fn template(name: &str, at: &At<'_>, files: TemplateFiles<'_>, findings: &mut Findings) -> Option<Inlined> {
    match &at.node.content {
        Content::Text(named) => {
            let read = match files {
                TemplateFiles::Refused => Err(format!(
                    "{} is a file's name, and files are not opened here; send the text as {{inline: ...}}, as the clients do",
                    quoted(named)
                )),
                TemplateFiles::Below(folder) => read(folder, named),
            };
            let (text, file) = read.map_err(|message| findings.problem(at, message)).ok()?;
            if let Err(problem) = TemplateFile::parse(&text) {
                let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                findings.problem(at, format!("{named}{line}: {}", problem.message));
                return None;
            }
            Some(Inlined { name: name.to_owned(), text, file: Some(file) })
        }
        Content::Map(entries) => {
            let Some((inline, text)) = at.text_of("inline") else {
                findings.problem(at, "a template is a file's name, or {inline: TEXT}");
                return None;
            };
            for entry in entries.iter().filter(|entry| entry.key != "inline") {
                findings.problem_at(
                    at.path.clone(),
                    entry.place,
                    format!(
                        "unknown key {}; a template is a file's name, or {{inline: TEXT}}",
                        quoted(&entry.key)
                    ),
                );
            }
            if let Err(problem) = TemplateFile::parse(text) {
                syntax(&inline, &problem, findings);
                return None;
            }
            Some(Inlined { name: name.to_owned(), text: text.to_owned(), file: None })
        }
        _ => {
            findings.problem(at, "a template is a file's name, or {inline: TEXT}");
            None
        }
    }
}

/// In a literal block the template's lines are the descriptor's, so the very line can be named.
fn syntax(inline: &At<'_>, problem: &crate::template::TemplateProblem, findings: &mut Findings) {
    match problem.line {
        Some(line) if inline.node.literal => {
            let mut place = inline.node.place;
            place.line = place.line.saturating_add(line).saturating_sub(1);
            findings.problem_at(inline.path.clone(), place, problem.message.clone());
        }
        Some(line) => findings.problem(inline, format!("line {line} of the template: {}", problem.message)),
        None => findings.problem(inline, problem.message.clone()),
    }
}

/// Reads a template below a folder; the errors are messages.
fn read(folder: &Path, named: &str) -> Result<(String, PathBuf), String> {
    let shown = quoted(named);
    let relative = Path::new(named);
    if named.is_empty() || named.chars().any(char::is_control) {
        return Err(format!(
            "{shown} is not a file's name; write one relative to the descriptor, such as \"query.j2\""
        ));
    }
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!(
            "{shown} is absolute or leaves the descriptor's folder by ..; put the template into that folder or below"
        ));
    }
    let root =
        folder.canonicalize().map_err(|error| format!("cannot open the descriptor's folder: {error}"))?;
    let file = root
        .join(relative)
        .canonicalize()
        .map_err(|error| format!("cannot open {shown} beside the descriptor: {error}; is its name right?"))?;
    if !file.starts_with(&root) {
        return Err(format!(
            "{shown} is a link out of the descriptor's folder; put the template itself there"
        ));
    }
    let metadata = file.metadata().map_err(|error| format!("cannot open {shown}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{shown} is not a file; name a template file"));
    }
    let most = limits::TEMPLATE_BYTES;
    let mut bytes = Vec::new();
    File::open(&file)
        .and_then(|open| open.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() > most {
        return Err(format!(
            "{shown} has more than {most} bytes (64 KiB), a template's most; make it shorter"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8; save it as UTF-8"))?;
    Ok((text, file))
}
