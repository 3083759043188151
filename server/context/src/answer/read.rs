//! Reads an answer: text, data, or that there is none.

use serde_json::Value;

use super::fences::{Block, blocks};
use super::finding::Finding;
use super::json;
use super::schema::{FINDINGS, OutputSchema};

/// What an answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Text; no data was demanded.
    Text,
    /// The demanded data, which fits its schema.
    Data {
        /// The data exactly as the model wrote it, so that numbers keep all their digits.
        json: String,
        /// The same, read.
        value: Value,
    },
    /// The target says that it does not know.
    Unanswerable {
        /// Why, and what would be needed, in the target's words.
        why: String,
    },
    /// Data was demanded, and there is none or it does not fit.
    Invalid {
        /// What is wrong, worst first, at most 20.
        findings: Vec<Finding>,
    },
}

/// Reads an answer to a turn that demanded data of a schema, or none. Of several blocks of data or of not knowing, the
/// last counts.
pub fn read(text: &str, schema: Option<&OutputSchema>) -> Answer {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let blocks = blocks(text);
    let wanted =
        |block: &&Block<'_>| block.info == "unanswerable" || (schema.is_some() && block.info == "json");
    match (blocks.iter().rev().find(wanted), schema) {
        (Some(block), _) if block.info == "unanswerable" => Answer::Unanswerable { why: why(block, text) },
        (_, None) => Answer::Text,
        (Some(block), Some(schema)) => data(block.content, block.line, "in the ```json block", schema),
        (None, Some(schema)) => without_block(text, &blocks, schema),
    }
}

fn why(block: &Block<'_>, text: &str) -> String {
    let lines: Vec<&str> = block.content.lines().map(str::trim_end).collect();
    let why = lines.join("\n");
    if !why.trim().is_empty() {
        return why.trim().to_owned();
    }
    // An empty block, and the reason beside it.
    let beside: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with(['`', '~'])).collect();
    match beside.join("\n").trim() {
        "" => "it does not say why".to_owned(),
        beside => beside.to_owned(),
    }
}

fn without_block(text: &str, blocks: &[Block<'_>], schema: &OutputSchema) -> Answer {
    let whole = text.trim();
    let looks_like_json = whole.starts_with(['{', '[']);
    if looks_like_json || json::parse(whole).is_ok() {
        let before = text.len() - text.trim_start().len();
        let line = 1 + text[..before].matches('\n').count();
        return data(whole, line, "in the answer", schema);
    }
    let message = if whole.is_empty() {
        "the answer is empty"
    } else if blocks.iter().any(|block| json::parse(block.content).is_ok_and(|(value, _)| !value.is_null())) {
        "the answer holds data in a fenced block, but not in one that is opened by ```json"
    } else {
        "the answer holds no data: it needs one fenced block that is opened by ```json"
    };
    Answer::Invalid { findings: vec![Finding::new("", message)] }
}

/// Reads data that starts on the answer's line `line`.
fn data(text: &str, line: usize, place: &str, schema: &OutputSchema) -> Answer {
    let trimmed = text.trim();
    let line = line + text[..text.len() - text.trim_start().len()].matches('\n').count();
    match json::parse(trimmed) {
        Err(problem) => {
            let line = line + problem.line.max(1) - 1;
            let message = format!("line {line} of the answer, {place}: {}", problem.message);
            Answer::Invalid { findings: vec![Finding::new("", &message)] }
        }
        Ok((value, mut findings)) => {
            findings.extend(schema.findings(&value));
            findings.truncate(FINDINGS);
            if findings.is_empty() {
                Answer::Data { json: trimmed.to_owned(), value }
            } else {
                Answer::Invalid { findings }
            }
        }
    }
}
