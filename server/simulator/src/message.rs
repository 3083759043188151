//! The message being streamed: its `stream_event` lines, one `assistant` line
//! per content block, and their place in the session file. Keeps the rule that
//! an `assistant` line comes before its block's `content_block_stop`.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::ids::timestamp;
use crate::inbox::Wait;
use crate::ledger::Tokens;
use crate::outbox::{Object, push_json};
use crate::player::Player;
use crate::session::Halt;

/// Stands where a thinking block is signed.
const SIGNATURE: &str = "c2ltdWxhdGVk";

/// A message between `message_start` and `message_stop`.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    request_id: String,
    /// Index of the block that is open, or of the next one.
    index: usize,
    block: Option<Block>,
    output_chars: usize,
    input_tokens: u64,
    /// Uuids and blocks of its `assistant` lines: the session file gets them once the message is complete.
    unrecorded: Vec<(String, Value)>,
}

impl Message {
    fn tokens(&self) -> Tokens {
        Tokens { input: self.input_tokens, output: Tokens::of(0, self.output_chars).output }
    }

    /// The message with one block of its content.
    fn body(&self, model: &str, block: Value, stop_reason: Option<&str>, tokens: Tokens) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": model, "content": [block],
            "stop_reason": stop_reason, "stop_sequence": null, "usage": tokens.usage(),
        })
    }
}

/// The block that is open.
#[derive(Debug)]
struct Block {
    kind: BlockKind,
    text: String,
    /// The delta line up to its text, and from the session id to the uuid.
    head: Vec<u8>,
    tail: Vec<u8>,
    /// From after the uuid to the end of the line.
    end: Vec<u8>,
}

/// Blocks whose content comes in text deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Text,
    Thinking,
}

impl BlockKind {
    fn content(self, text: &str) -> Value {
        match self {
            Self::Text => json!({ "type": "text", "text": text }),
            Self::Thinking => json!({ "type": "thinking", "thinking": text, "signature": SIGNATURE }),
        }
    }

    /// The block as it is when it starts.
    fn empty(self) -> Value {
        match self {
            Self::Text => json!({ "type": "text", "text": "" }),
            Self::Thinking => json!({ "type": "thinking", "thinking": "", "signature": "" }),
        }
    }

    /// The delta object up to its text.
    fn delta_head(self) -> &'static str {
        match self {
            Self::Text => r#"{"type":"text_delta","text":"#,
            Self::Thinking => r#"{"type":"thinking_delta","thinking":"#,
        }
    }
}

impl<W: Write> Player<'_, '_, W> {
    /// Opens a message if none is open: one call of the simulated API.
    ///
    /// # Errors
    /// That of the write.
    pub(crate) fn open_message(&mut self) -> io::Result<()> {
        if self.message.is_some() {
            return Ok(());
        }
        if self.calls > 0 {
            self.session.requesting()?;
        }
        self.calls += 1;
        let id = self.session.ids.message();
        let request_id = self.session.ids.request();
        self.message_ids.push(id.clone());
        let system_prompt = self.session.system_prompt.as_deref().unwrap_or_default();
        let call = Tokens::of(self.session.history.chars + system_prompt.len(), 1);
        self.tokens.input += call.input;
        let start = json!({ "type": "message_start", "message": {
            "id": id, "type": "message", "role": "assistant", "model": self.session.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": call.usage(),
        }});
        self.message = Some(Message {
            id,
            request_id,
            index: 0,
            block: None,
            output_chars: 0,
            input_tokens: call.input,
            unrecorded: Vec::new(),
        });
        let ttft_ms = self.elapsed_ms();
        self.ttft_ms.get_or_insert(ttft_ms);
        self.event(&start, Some(ttft_ms))
    }

    /// Adds a delta to a block of this kind, opening what is not open.
    ///
    /// # Errors
    /// [`Halt`] from the write, or from what has come on stdin meanwhile.
    pub(crate) fn delta(&mut self, kind: BlockKind, text: &str) -> Result<(), Halt> {
        self.open_block(kind)?;
        let partial = self.session.flags.include_partial_messages;
        let message = self.message.as_mut().expect("a message was just opened");
        let block = message.block.as_mut().expect("a block was just opened");
        block.text.push_str(text);
        message.output_chars += text.len();
        if partial {
            let mut uuid = [0; uuid::fmt::Hyphenated::LENGTH];
            let uuid = self.session.ids.uuid().hyphenated().encode_lower(&mut uuid).as_bytes();
            self.session.out.spliced(&block.head, text, &[&block.tail, uuid, &block.end])?;
        }
        if !self.first_delta_written {
            // A reader measures us by the first delta; the others may share a write.
            self.first_delta_written = true;
            self.session.out.flush()?;
        }
        self.session.attend(Wait::Not)
    }

    fn open_block(&mut self, kind: BlockKind) -> io::Result<()> {
        self.open_message()?;
        let open = self.message.as_ref().and_then(|message| message.block.as_ref());
        if open.is_some_and(|block| block.kind == kind) {
            return Ok(());
        }
        self.close_block()?;
        let message = self.message.as_mut().expect("a message was just opened");
        let index = message.index;
        let mut head = format!(
            r#"{{"type":"stream_event","event":{{"type":"content_block_delta","index":{index},"delta":"#
        )
        .into_bytes();
        head.extend_from_slice(kind.delta_head().as_bytes());
        let mut tail = br#"}},"session_id":"#.to_vec();
        push_json(&mut tail, &self.session.session_id);
        tail.extend_from_slice(br#","parent_tool_use_id":null,"uuid":""#);
        let mut end = br#"","api_message_id":"#.to_vec();
        push_json(&mut end, &message.id);
        end.push(b'}');
        message.block = Some(Block { kind, text: String::new(), head, tail, end });
        let start = json!({ "type": "content_block_start", "index": index, "content_block": kind.empty() });
        self.event(&start, None)
    }

    /// Ends the open block, if any: its `assistant` line, then its stop.
    ///
    /// # Errors
    /// That of the write or of the session file.
    pub(crate) fn close_block(&mut self) -> io::Result<()> {
        let Some(message) = &mut self.message else { return Ok(()) };
        let index = message.index;
        let Some(block) = message.block.take() else { return Ok(()) };
        if block.kind == BlockKind::Thinking {
            let delta = json!({ "type": "signature_delta", "signature": SIGNATURE });
            self.event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }), None)?;
        }
        self.assistant(block.kind.content(&block.text))?;
        if block.kind == BlockKind::Text {
            self.answer = block.text;
        }
        self.stop_block()
    }

    /// The `content_block_stop` of the block whose `assistant` line was just printed.
    fn stop_block(&mut self) -> io::Result<()> {
        let Some(message) = self.message.as_mut() else { return Ok(()) };
        let index = message.index;
        message.index += 1;
        self.event(&json!({ "type": "content_block_stop", "index": index }), None)
    }

    /// A whole `tool_use` block.
    ///
    /// # Errors
    /// That of the write or of the session file.
    pub(crate) fn tool_use(&mut self, id: &str, name: &str, input: &Value) -> io::Result<()> {
        self.open_message()?;
        self.close_block()?;
        let index = self.message.as_ref().map_or(0, |message| message.index);
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
        self.event(&json!({ "type": "content_block_start", "index": index, "content_block": block }), None)?;
        let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
        self.event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }), None)?;
        self.assistant(json!({ "type": "tool_use", "id": id, "name": name, "input": input }))?;
        self.stop_block()
    }

    /// Ends the open message, if any.
    ///
    /// # Errors
    /// That of the write or of the session file.
    pub(crate) fn close_message(&mut self, stop_reason: &str) -> io::Result<()> {
        self.close_block()?;
        self.finish_message(Some(stop_reason))
    }

    /// `message_delta` and `message_stop` of the open message, if any.
    fn finish_message(&mut self, stop_reason: Option<&str>) -> io::Result<()> {
        self.record(stop_reason)?;
        let Some(message) = &self.message else { return Ok(()) };
        let tokens = message.tokens();
        self.tokens.output += tokens.output;
        let delta = json!({
            "type": "message_delta", "delta": { "stop_reason": stop_reason, "stop_sequence": null },
            "usage": { "output_tokens": tokens.output },
        });
        self.event(&delta, None)?;
        self.event(&json!({ "type": "message_stop" }), None)?;
        self.message = None;
        Ok(())
    }

    /// Writes the message's lines into the session file: a line a block, each with the whole's stop reason.
    fn record(&mut self, stop_reason: Option<&str>) -> io::Result<()> {
        let Some(message) = &mut self.message else { return Ok(()) };
        let kept = json!({ "requestId": message.request_id });
        for (uuid, block) in std::mem::take(&mut message.unrecorded) {
            let body = message.body(&self.session.model, block, stop_reason, message.tokens());
            self.session.transcript.append("assistant", &uuid, &body, &kept)?;
        }
        Ok(())
    }

    /// Ends the message as an interrupt does: partial `assistant`, then `note`, then the stops (seen on 2.1.330).
    ///
    /// # Errors
    /// That of the write, of the session file, or of `note`.
    pub(crate) fn interrupt_message(
        &mut self,
        note: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let block = self.message.as_mut().and_then(|message| message.block.take());
        if let Some(block) = &block {
            self.assistant(block.kind.content(&block.text))?;
        }
        self.record(None)?;
        note(self)?;
        if block.is_some() {
            self.stop_block()?;
        }
        self.finish_message(None)
    }

    /// An `assistant` line with one block.
    fn assistant(&mut self, block: Value) -> io::Result<()> {
        let uuid = self.session.ids.uuid().to_string();
        let Some(message) = &mut self.message else { return Ok(()) };
        // The real CLI gives the tokens of `message_start` here: the final ones are in the result.
        let tokens = Tokens { input: message.input_tokens, output: 1 };
        let body = message.body(&self.session.model, block.clone(), None, tokens);
        let request_id = json!(message.request_id);
        message.unrecorded.push((uuid.clone(), block));
        self.print_assistant(&uuid, &body, ("request_id", request_id))
    }

    /// The line of an error, in the output and in the session file: no model said it.
    ///
    /// # Errors
    /// That of the write or of the session file.
    pub(crate) fn synthetic(&mut self, text: &str, error: &str, status: Option<u16>) -> io::Result<()> {
        let body = json!({
            "id": self.session.ids.uuid(), "type": "message", "role": "assistant", "model": "<synthetic>",
            "content": [{ "type": "text", "text": text }], "stop_reason": "stop_sequence", "stop_sequence": "",
            "usage": Tokens::default().usage(),
        });
        let uuid = self.session.ids.uuid().to_string();
        let kept = json!({ "isApiErrorMessage": true, "apiErrorStatus": status, "error": error });
        self.session.transcript.append("assistant", &uuid, &body, &kept)?;
        self.print_assistant(&uuid, &body, ("error", json!(error)))
    }

    fn print_assistant(&mut self, uuid: &str, body: &Value, further: (&str, Value)) -> io::Result<()> {
        let session_id = &self.session.session_id;
        let user_uuids = &self.user_uuids;
        self.session.out.object(|o| {
            o.field("type", "assistant").field("message", body).field("parent_tool_use_id", &());
            o.field("session_id", session_id).field("uuid", uuid).field("timestamp", &timestamp());
            o.field(further.0, &further.1);
            if let Some(last) = user_uuids.last() {
                o.field("user_message_uuid", last).field("user_message_uuids", user_uuids);
            }
        })
    }

    /// A `stream_event` line, if they are asked for.
    fn event(&mut self, event: &Value, ttft_ms: Option<u64>) -> io::Result<()> {
        if !self.session.flags.include_partial_messages {
            return Ok(());
        }
        let uuid = self.session.ids.uuid();
        let id = self.message.as_ref().map(|message| message.id.as_str());
        let session_id = &self.session.session_id;
        self.session.out.object(|o: &mut Object<'_>| {
            o.field("type", "stream_event").field("event", event).field("session_id", session_id);
            o.field("parent_tool_use_id", &()).field("uuid", &uuid);
            if let Some(ttft_ms) = ttft_ms {
                o.field("ttft_ms", &ttft_ms);
            }
            o.field("api_message_id", &id);
        })
    }
}
