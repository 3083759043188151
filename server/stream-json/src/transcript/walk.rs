//! The walk along the chain that starts at one user message.

use std::collections::HashSet;

use super::line::{Line, Message};
use super::{Answered, Fate};
use crate::output::Usage;

const INTERRUPTED: &str = "[Request interrupted by user";

/// Follows the lines that descend from a user message, up to the next user message.
#[derive(Debug)]
pub(super) struct Walk {
    user_uuid: String,
    /// Lines of this turn.
    chain: HashSet<String>,
    fate: Fate,
    /// The last message of the model in this turn.
    message_id: Option<String>,
    text: String,
    stop_reason: Option<String>,
    usage: Usage,
}

impl Walk {
    pub(super) fn new(user_uuid: String) -> Self {
        Self {
            user_uuid,
            chain: HashSet::new(),
            fate: Fate::Absent,
            message_id: None,
            text: String::new(),
            stop_reason: None,
            usage: Usage::default(),
        }
    }

    pub(super) fn into_fate(self) -> Fate {
        self.fate
    }

    pub(super) fn step(&mut self, line: &Line<'_>) {
        // A subagent's talk is no part of the answer.
        if line.is_sidechain == Some(true) {
            return;
        }
        if line.uuid == *self.user_uuid {
            // Not a second time: a resumed CLI may write the line again.
            if self.chain.insert(line.uuid.clone().into_owned()) {
                self.fate = Fate::Pending;
            }
            return;
        }
        // A compaction that comes after the answer belongs to a later turn.
        let over_compaction = line.logical_parent_uuid.as_ref().filter(|_| self.fate == Fate::Pending);
        let parent = line.parent_uuid.as_ref().or(over_compaction);
        let descends = parent.is_some_and(|parent| self.chain.contains(&**parent));
        if !descends || is_next_turn(line) {
            return;
        }
        self.chain.insert(line.uuid.clone().into_owned());
        match (&*line.kind, &line.message) {
            ("assistant", Some(message)) => self.assistant(line, message),
            ("user", Some(message)) => {
                let interrupted = message.text().starts_with(INTERRUPTED);
                self.fate = if interrupted { Fate::Interrupted } else { Fate::Pending };
            }
            _ => {}
        }
    }

    fn assistant(&mut self, line: &Line<'_>, message: &Message<'_>) {
        if message.model.as_deref() == Some("<synthetic>") {
            if line.is_api_error_message == Some(true) {
                self.fate = Fate::Failed { message: message.text(), http_status: line.api_error_status };
            }
            return;
        }
        if message.id.as_deref() != self.message_id.as_deref() || self.message_id.is_none() {
            if self.stop_reason.as_deref() != Some("max_tokens") {
                self.text.clear();
            }
            self.message_id = message.id.as_deref().map(str::to_owned);
            self.count(message.usage.unwrap_or_default());
        }
        self.text.push_str(&message.text());
        self.stop_reason = message.stop_reason.as_deref().map(str::to_owned);
        self.fate = match message.stop_reason.as_deref() {
            None | Some("tool_use") => Fate::Pending,
            Some(stop_reason) => Fate::Answered(Answered {
                text: self.text.clone(),
                assistant_uuid: line.uuid.clone().into_owned(),
                usage: self.usage,
                model: message.model.clone().unwrap_or_default().into_owned(),
                stop_reason: stop_reason.to_owned(),
            }),
        };
    }

    fn count(&mut self, usage: Usage) {
        let sum = &mut self.usage;
        sum.input_tokens = sum.input_tokens.saturating_add(usage.input_tokens);
        sum.output_tokens = sum.output_tokens.saturating_add(usage.output_tokens);
        sum.cache_creation_input_tokens =
            sum.cache_creation_input_tokens.saturating_add(usage.cache_creation_input_tokens);
        sum.cache_read_input_tokens =
            sum.cache_read_input_tokens.saturating_add(usage.cache_read_input_tokens);
    }
}

/// A user message that was made neither by the CLI nor by a tool.
fn is_next_turn(line: &Line<'_>) -> bool {
    let Some(message) = line.message.as_ref().filter(|_| line.kind == "user") else { return false };
    let by_cli = line.is_meta == Some(true) || line.is_compact_summary == Some(true);
    !by_cli && !message.has_tool_result() && !message.text().starts_with(INTERRUPTED)
}
