//! Recordings, their replay, and updates as short lines.

use std::fs;
use std::path::Path;

use claude_comms_stream_json::framing::LineSplitter;
use claude_comms_stream_json::output::{self, Output};
use claude_comms_stream_json::turn::{Outcome, ResetReason, TurnReader, TurnUpdate};
use uuid::Uuid;

/// Name and bytes of every recording, sorted.
pub(crate) fn recordings() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    found
}

/// Id of the nth user message of a recording, from 1.
pub(crate) fn user(n: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + n)
}

/// All outputs of a recording; every line must be readable.
pub(crate) fn outputs(bytes: &[u8], mut each: impl FnMut(Output<'_>)) {
    let mut splitter = LineSplitter::default();
    splitter.extend(bytes);
    while let Some(line) = splitter.next_line() {
        each(output::parse_bytes(line.unwrap()).unwrap());
    }
    assert!(splitter.remainder().is_empty());
}

/// Reads a recording: the first turn begins at once, each next one when the last has ended.
pub(crate) fn replay(bytes: &[u8]) -> Vec<String> {
    let mut reader = TurnReader::new();
    let mut turn = 1;
    reader.begin(user(turn));
    let mut told = Vec::new();
    let mut updates = Vec::new();
    let mut text = String::new();
    outputs(bytes, |output| {
        reader.read(&output, &mut updates);
        if let Some(TurnUpdate::End(_)) = updates.last() {
            for update in updates.drain(..) {
                keep_text(&mut text, &update);
                told.push(brief(&update));
            }
            turn += 1;
            reader.begin(user(turn));
        }
    });
    for update in updates {
        told.push(brief(&update));
    }
    told
}

/// Promise 1 of the reader.
fn keep_text(text: &mut String, update: &TurnUpdate) {
    match update {
        TurnUpdate::Text(piece) => text.push_str(piece),
        TurnUpdate::Reset { .. } => text.clear(),
        TurnUpdate::End(end) => {
            if let Outcome::Answer { text: answer } = &end.outcome {
                assert_eq!(answer, text);
            }
            text.clear();
        }
        _ => {}
    }
}

/// An update as a short line; ids that depend on the recording are left out.
fn brief(update: &TurnUpdate) -> String {
    match update {
        TurnUpdate::Init { model, cli_version, .. } => format!("init {model} {cli_version}"),
        TurnUpdate::OutputBegan => "began".to_owned(),
        TurnUpdate::Reset { reason } => match reason {
            ResetReason::Retry => "reset retry".to_owned(),
            ResetReason::ToolUse => "reset tool".to_owned(),
            ResetReason::Replaced => "reset replaced".to_owned(),
        },
        TurnUpdate::Text(text) => format!("text {text}"),
        TurnUpdate::ToolCall { id, name, input_json } => format!("call {id} {name} {input_json}"),
        TurnUpdate::ToolResult { id, is_error, content_json } => {
            format!("{} {id} {content_json}", if *is_error { "tool failed" } else { "tool gave" })
        }
        TurnUpdate::ApiRetry { attempt, max_attempts, http_status, error, delay } => {
            assert!(delay.as_millis() < 5000);
            format!("retry {attempt}/{max_attempts} {http_status:?} {error}")
        }
        TurnUpdate::RateLimit(limit) => format!("limit {limit:?}"),
        TurnUpdate::Compacted { trigger, tokens_before, tokens_after } => {
            format!("compacted {trigger}: {tokens_before} to {tokens_after}")
        }
        TurnUpdate::Usage { model, usage, step } => format!(
            "usage {step:?} {model}: {} read, {} cached, {} from the cache, {} written",
            usage.input_tokens,
            usage.cache_creation_input_tokens,
            usage.cache_read_input_tokens,
            usage.output_tokens
        ),
        TurnUpdate::SessionReset { .. } => "session reset".to_owned(),
        TurnUpdate::End(end) => {
            let outcome = match &end.outcome {
                Outcome::Answer { text } => format!("answer {text}"),
                Outcome::Aborted => "aborted".to_owned(),
                Outcome::Failed { reason, http_status, message } => {
                    let message: String = message.chars().take(40).collect();
                    format!("failed {reason:?} {http_status:?} {message}")
                }
            };
            let forkable = if end.last_assistant_uuid.is_some() { "" } else { " no-fork" };
            format!(
                "end {} turns ${:.6} {}+{}{forkable}: {outcome}",
                end.num_turns, end.cost_usd, end.usage.input_tokens, end.usage.output_tokens
            )
        }
    }
}

/// The updates a reader may give outside of turns.
pub(crate) fn is_about_the_session(update: &TurnUpdate) -> bool {
    matches!(update, TurnUpdate::Init { .. } | TurnUpdate::SessionReset { .. })
}
