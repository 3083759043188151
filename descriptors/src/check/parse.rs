//! The way from a text to a descriptor, in the order of the checks. The rules themselves are its neighbours'.

use std::path::{Path, PathBuf};

use crate::{
    check::{duplicates, findings::Findings, limits, names, schemas, shape, templates, texts, turns},
    descriptor::{Descriptor, SCHEMA, TemplateText},
    node::{At, Content, Node},
    problem::Problem,
    reading,
    stack::with_large_stack,
    words::quoted,
    write::canonical_json,
};

/// A descriptor without problems.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The descriptor; its templates are inline.
    pub descriptor: Descriptor,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
    /// The template files whose text is in the descriptor now.
    pub template_files: Vec<PathBuf>,
}

/// Where the files are that a descriptor names as templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateFiles<'a> {
    /// Nowhere: the text came over the network, and clients inline their files.
    Refused,
    /// In this folder or below it. Nothing outside of it is opened, not by `..` and not by a link.
    Below(&'a Path),
}

/// Reads a descriptor from YAML or JSON.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text; a text that cannot be read has one problem.
pub fn parse(text: &str, files: TemplateFiles<'_>) -> Result<Parsed, Vec<Problem>> {
    let read = with_large_stack(|| read_and_check(text, files));
    read.unwrap_or_else(|error| {
        Err(vec![Problem::of_text(format!("no thread to read it with ({error}); try again"))])
    })
}

fn read_and_check(text: &str, files: TemplateFiles<'_>) -> Result<Parsed, Vec<Problem>> {
    let root = reading::read(text).map_err(|problem| vec![problem])?;
    let at = At::root(&root);
    let mut findings = Findings::default();
    if let Err(problem) = begins_well(&at) {
        return Err(vec![problem]);
    }
    duplicates::check(&at, &mut findings);
    names::check(&at, &mut findings);
    texts::check(&at, &mut findings);
    turns::check(&at, &mut findings);
    schemas::check(&at, &mut findings);
    let inlined = templates::check(&at, files, &mut findings);
    // Last, because it leaves out what the rules have said better.
    shape::check(&at, &mut findings);
    if findings.problems.is_empty() {
        match descriptor(&root, &inlined).and_then(|made| fits(made, &at)) {
            Ok(descriptor) => {
                Problem::sort(&mut findings.warnings);
                let template_files = inlined.into_iter().filter_map(|template| template.file).collect();
                return Ok(Parsed { descriptor, warnings: findings.warnings, template_files });
            }
            Err(problem) => findings.problems.push(problem),
        }
    }
    Problem::sort(&mut findings.problems);
    Err(findings.problems)
}

/// Reads a descriptor from the bytes of a file.
///
/// # Errors
/// As [`parse`], and bytes that are not UTF-8.
pub fn parse_bytes(bytes: &[u8], files: TemplateFiles<'_>) -> Result<Parsed, Vec<Problem>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, files),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let mut problem = Problem::of_text("not UTF-8 here; save the file as UTF-8");
            problem.line = u32::try_from(line).ok();
            Err(vec![problem])
        }
    }
}

/// Other formats are not looked at further: what would be said of them by this one's rules would mislead.
fn begins_well(at: &At<'_>) -> Result<(), Problem> {
    let mut problem = Problem::of_text("");
    problem.line = Some(at.node.place.line);
    problem.column = Some(at.node.place.column);
    if !matches!(at.node.content, Content::Map(_)) {
        problem.message =
            format!("not a descriptor, which is a mapping that begins with \"schema: {SCHEMA}\"");
        return Err(problem);
    }
    let Some((schema, text)) = at.text_of("schema") else { return Ok(()) };
    if text != SCHEMA && text.starts_with("claude-comms/module/") {
        problem.path = schema.path;
        problem.line = Some(schema.node.place.line);
        problem.column = Some(schema.node.place.column);
        problem.message =
            format!("{} is a format that this build does not read; it reads {SCHEMA}", quoted(text));
        return Err(problem);
    }
    Ok(())
}

fn descriptor(root: &Node, inlined: &[templates::Inlined]) -> Result<Descriptor, Problem> {
    let mut value = root.to_value();
    for template in inlined {
        value["context"]["templates"][&template.name] = serde_json::json!({ "inline": template.text });
    }
    // The shape and the rules leave nothing for this to find; if they do, its words are better than none.
    serde_json::from_value(value).map_err(|error| Problem::of_text(error.to_string()))
}

/// The descriptor, if it can be sent, kept and read again as it is now: as JSON, with all templates in it.
fn fits(made: Descriptor, root: &At<'_>) -> Result<Descriptor, Problem> {
    let bytes = canonical_json(&made).len();
    if bytes <= limits::TEXT_BYTES {
        return Ok(made);
    }
    let most = limits::TEXT_BYTES;
    let templates = &made.context.templates;
    let texts = templates.iter().filter_map(|(name, template)| match template {
        TemplateText::Inline { inline } => Some((name, inline.len())),
        TemplateText::File(_) => None,
    });
    let others = bytes - texts.clone().map(|(_, length)| length).sum::<usize>();
    let mut problem = Problem::of_text(format!(
        "as JSON, which is what is sent and kept, the descriptor has {bytes} bytes; at most {most} (512 KiB): use fewer \
         aliases, or make it shorter"
    ));
    if let Some(at) = root.key("context").and_then(|context| context.key("templates"))
        && others <= most
    {
        let sizes: Vec<String> = texts.map(|(name, length)| format!("{name} ({length})")).collect();
        problem.line = Some(at.node.place.line);
        problem.column = Some(at.node.place.column);
        problem.path = at.path;
        problem.message = format!(
            "with the templates' texts in it the descriptor has {bytes} bytes as JSON, which is what is sent and kept; at \
             most {most} (512 KiB): make the templates shorter: {}",
            sizes.join(", ")
        );
    }
    Err(problem)
}
