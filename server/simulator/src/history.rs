//! What the conversation has said so far, as far as the default answer needs
//! it: its prompts. It reads session entries and knows nothing of files.

use serde_json::Value;

use crate::transcript::Entry;

/// What the CLI notes when a turn is interrupted; it is no prompt.
pub(crate) const INTERRUPTED: &str = "[Request interrupted by user]";

/// The prompts of a conversation, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) prompts: Vec<String>,
    /// Characters said so far by both sides: the input of the next call.
    pub(crate) chars: usize,
}

impl History {
    /// The prompts among `entries`.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut history = Self::default();
        for entry in entries {
            let content = &entry.line["message"]["content"];
            let text = text_of(content);
            history.chars += text.chars().count();
            if entry.line["type"] == "user" && !is_tool_result(content) && text != INTERRUPTED {
                history.prompts.push(text);
            }
        }
        history
    }

    /// Notes a prompt.
    pub(crate) fn ask(&mut self, prompt: &str) {
        self.chars += prompt.chars().count();
        self.prompts.push(prompt.to_owned());
    }
}

fn is_tool_result(content: &Value) -> bool {
    content.as_array().is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"))
}

/// The words of a message's content: a string, or blocks of which the text counts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| match block["type"].as_str() {
                    Some("text") => block["text"].as_str(),
                    Some("image") => Some("[image]"),
                    _ => None,
                })
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
