//! The text of the message that is being made. It decides what text is void and what must be appended, and knows
//! nothing of lines.

use super::{ResetReason, TurnUpdate};

/// Text of a turn since the last reset, and the message it belongs to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    /// Where the block that is being streamed begins in `text`.
    block_start: usize,
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    id: Option<String>,
    state: State,
    calls_tool: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Being streamed, or abandoned: then a `message_stop` comes without a stop reason before it (CLI 2.1.330,
    /// `tests/recorded/cut_stream.jsonl`).
    Open,
    /// It has a stop reason, or was not streamed.
    Finished,
    /// Cut at the token limit. The CLI then asks the model to go on, and the next message continues the text.
    CutAtLimit,
}

impl Answer {
    /// A message of the API's stream begins.
    pub(super) fn begin_streamed(&mut self, id: Option<&str>, into: &mut Vec<TurnUpdate>) {
        self.begin(id, State::Open, into);
    }

    /// Whole blocks of the message `id` follow. Without deltas (not streamed, or an API stream that failed) it is new.
    pub(super) fn continue_or_begin(&mut self, id: Option<&str>, into: &mut Vec<TurnUpdate>) {
        let same = self.message.as_ref().is_some_and(|message| message.id.as_deref() == id);
        if !same {
            self.begin(id, State::Finished, into);
        }
    }

    fn begin(&mut self, id: Option<&str>, state: State, into: &mut Vec<TurnUpdate>) {
        match &self.message {
            None => into.push(TurnUpdate::OutputBegan),
            Some(Message { state: State::Open, .. }) => self.reset(ResetReason::Retry, into),
            Some(Message { calls_tool: true, .. }) => self.reset(ResetReason::ToolUse, into),
            Some(Message { state: State::CutAtLimit, .. }) => {}
            Some(_) => self.reset(ResetReason::Replaced, into),
        }
        self.message = Some(Message { id: id.map(str::to_owned), state, calls_tool: false });
        self.block_start = self.text.len();
    }

    pub(super) fn begin_block(&mut self, kind: &str) {
        self.block_start = self.text.len();
        if kind == "tool_use" {
            self.calls_tool();
        }
    }

    pub(super) fn calls_tool(&mut self) {
        if let Some(message) = &mut self.message {
            message.calls_tool = true;
        }
    }

    pub(super) fn finish_message(&mut self, stop_reason: &str) {
        if let Some(message) = &mut self.message {
            message.state = if stop_reason == "max_tokens" { State::CutAtLimit } else { State::Finished };
        }
    }

    pub(super) fn append(&mut self, text: &str, into: &mut Vec<TurnUpdate>) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        match into.last_mut() {
            Some(TurnUpdate::Text(last)) => last.push_str(text),
            _ => into.push(TurnUpdate::Text(text.to_owned())),
        }
    }

    /// The block that was streamed reads, in full, `whole`.
    pub(super) fn settle_block(&mut self, whole: &str, into: &mut Vec<TurnUpdate>) {
        let streamed = &self.text[self.block_start..];
        match whole.strip_prefix(streamed) {
            Some(missing) => self.append(missing, into),
            None => {
                let mut kept = self.text[..self.block_start].to_owned();
                kept.push_str(whole);
                self.replace(&kept, into);
            }
        }
        self.block_start = self.text.len();
    }

    /// The turn is over and its `result` reads `last_block`. Gives the answer, to which all updates now add up.
    ///
    /// `result` holds the last text block only, and the message may have several: then all of them are the answer.
    pub(super) fn settle(&mut self, last_block: &str, into: &mut Vec<TurnUpdate>) -> String {
        if !self.text.ends_with(last_block) {
            match last_block.strip_prefix(&*self.text) {
                Some(missing) => self.append(missing, into),
                None => self.replace(last_block, into),
            }
        }
        std::mem::take(&mut self.text)
    }

    fn replace(&mut self, text: &str, into: &mut Vec<TurnUpdate>) {
        self.reset(ResetReason::Replaced, into);
        self.append(text, into);
    }

    fn reset(&mut self, reason: ResetReason, into: &mut Vec<TurnUpdate>) {
        self.block_start = 0;
        if !self.text.is_empty() {
            self.text.clear();
            into.push(TurnUpdate::Reset { reason });
        }
    }
}
