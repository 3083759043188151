//! The lines around an answer, in the shape and key order of CLI 2.1.330:
//! `system/*`, `command_lifecycle`, `result`. Knows shapes; when a line is due
//! is the player's.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::ledger::Tokens;
use crate::opening::VERSION;
use crate::outbox::Object;
use crate::requests::CAPABILITIES;
use crate::session::{Session, UserMessage};

/// The result of a turn.
#[derive(Debug)]
pub(crate) struct TurnResult<'a> {
    pub(crate) subtype: &'a str,
    pub(crate) terminal_reason: &'a str,
    pub(crate) is_error: bool,
    pub(crate) api_error_status: Option<u16>,
    pub(crate) stop_reason: Option<&'a str>,
    pub(crate) said: Said<'a>,
    pub(crate) tokens: Tokens,
    pub(crate) num_turns: u32,
    pub(crate) duration_ms: u64,
    pub(crate) ttft_ms: Option<u64>,
    pub(crate) message_ids: &'a [String],
    pub(crate) user_uuids: &'a [String],
}

/// A result holds an answer or errors, never both.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    Text(&'a str),
    Errors(&'a [String]),
}

impl<W: Write> Session<'_, W> {
    /// Prints an object that ends with this session's id and a uuid of its own.
    fn system(&mut self, build: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        let uuid = self.ids.uuid();
        let session_id = &self.session_id;
        self.out.object(|o| {
            build(o);
            o.field("session_id", session_id).field("uuid", &uuid);
        })
    }

    pub(crate) fn lifecycle(&mut self, command: &str, state: &str) -> io::Result<()> {
        let uuid = self.ids.uuid();
        let session_id = &self.session_id;
        self.out.object(|o| {
            o.field("type", "command_lifecycle").field("command_uuid", command).field("state", state);
            o.field("uuid", &uuid).field("session_id", session_id);
        })
    }

    pub(crate) fn init(&mut self) -> io::Result<()> {
        let uuid = self.ids.uuid();
        let Self { session_id, model, permission_mode, surroundings, out, .. } = self;
        let cwd = surroundings.cwd.to_string_lossy();
        out.object(|o| {
            o.field("type", "system")
                .field("subtype", "init")
                .field("cwd", &cwd)
                .field("session_id", session_id);
            o.field("tools", &[(); 0]).field("mcp_servers", &[(); 0]).field("model", model);
            o.field("permissionMode", permission_mode).field("slash_commands", &[(); 0]);
            o.field("apiKeySource", "simulated").field("claude_code_version", VERSION);
            o.field("output_style", "default").field("agents", &[(); 0]).field("skills", &[(); 0]);
            o.field("plugins", &[(); 0]).field("capabilities", &CAPABILITIES).field("uuid", &uuid);
        })
    }

    pub(crate) fn requesting(&mut self) -> io::Result<()> {
        self.system(|o| {
            o.field("type", "system").field("subtype", "status").field("status", "requesting");
        })
    }

    pub(crate) fn permission_status(&mut self) -> io::Result<()> {
        let mode = self.permission_mode.clone();
        self.system(|o| {
            o.field("type", "system").field("subtype", "status").field("status", &());
            o.field("permissionMode", &mode);
        })
    }

    /// `running` or `idle`, if the environment asks for it.
    pub(crate) fn session_state(&mut self, state: &str) -> io::Result<()> {
        if !self.surroundings.emit_session_state {
            return Ok(());
        }
        self.system(|o| {
            o.field("type", "system").field("subtype", "session_state_changed").field("state", state);
        })
    }

    pub(crate) fn thinking_tokens(&mut self, estimated: usize, user_uuid: Option<&String>) -> io::Result<()> {
        self.system(|o| {
            o.field("type", "system")
                .field("subtype", "thinking_tokens")
                .field("estimated_tokens", &estimated);
            o.field("estimated_tokens_delta", &estimated).field("user_message_uuid", &user_uuid);
        })
    }

    pub(crate) fn api_retry(
        &mut self,
        attempt: u32,
        max_retries: u32,
        delay_ms: u64,
        status: Option<u16>,
        error: &str,
    ) -> io::Result<()> {
        self.system(|o| {
            o.field("type", "system").field("subtype", "api_retry").field("attempt", &attempt);
            o.field("max_retries", &max_retries).field("retry_delay_ms", &delay_ms);
            o.field("error_status", &status).field("error", error);
        })
    }

    /// A `user` line: a tool's result, an interrupt's note, a replayed message.
    pub(crate) fn user_line(
        &mut self,
        content: &Value,
        uuid: &str,
        extra: &[(&str, Value)],
    ) -> io::Result<()> {
        let message = json!({ "role": "user", "content": content });
        let session_id = &self.session_id;
        self.out.object(|o| {
            o.field("type", "user").field("message", &message).field("parent_tool_use_id", &());
            o.field("session_id", session_id).field("uuid", uuid);
            for (key, value) in extra {
                o.field(key, value);
            }
        })
    }

    /// Prints a turn's result and keeps the totals. `"type"` comes near the end, as the real CLI has it.
    pub(crate) fn result(&mut self, result: &TurnResult<'_>) -> io::Result<()> {
        self.ledger.add(result.tokens, result.duration_ms);
        self.failed = result.is_error;
        let uuid = self.ids.uuid();
        let queued = self.queue.len();
        let Self { session_id, model, ledger, turns, out, .. } = self;
        out.object(|o| {
            o.field("duration_api_ms", &ledger.api_ms).field("stop_reason", &result.stop_reason);
            o.field("session_id", session_id).field("total_cost_usd", &ledger.total_cost_usd());
            o.field("usage", &result.tokens.usage()).field("modelUsage", &ledger.total.model_usage(model));
            o.field("permission_denials", &[(); 0]).field("terminal_reason", result.terminal_reason);
            o.field("is_error", &result.is_error).field("num_turns", &result.num_turns);
            o.field("subtype", result.subtype).field("api_error_status", &result.api_error_status);
            match result.said {
                Said::Text(text) => o.field("result", text),
                Said::Errors(errors) => o.field("errors", errors),
            };
            if let Some(ttft_ms) = result.ttft_ms {
                o.field("ttft_ms", &ttft_ms);
            }
            o.field("type", "result").field("duration_ms", &result.duration_ms).field("uuid", &uuid);
            o.field("begun_message_ids", result.message_ids).field("queued_turn_count", &queued);
            o.field("result_index", &turns.saturating_sub(1));
            o.field("model_usage_since_last_result", &result.tokens.model_usage(model));
            if let Some(last) = result.user_uuids.last() {
                o.field("user_message_uuid", last).field("user_message_uuids", result.user_uuids);
            }
        })
    }

    /// The result of a message that wanted no answer.
    pub(crate) fn context_result(&mut self, message: &UserMessage) -> io::Result<()> {
        let failed = self.failed;
        self.result(&TurnResult {
            subtype: "success",
            terminal_reason: "completed",
            is_error: false,
            api_error_status: None,
            stop_reason: None,
            said: Said::Text(""),
            tokens: Tokens::default(),
            num_turns: 0,
            duration_ms: 0,
            ttft_ms: None,
            message_ids: &[],
            user_uuids: std::slice::from_ref(&message.uuid),
        })?;
        self.failed = failed;
        if message.tracked { self.lifecycle(&message.uuid, "completed") } else { Ok(()) }
    }
}
