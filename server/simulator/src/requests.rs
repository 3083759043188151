//! The lines of stdin: user messages are queued, control requests answered at
//! once, before, between and during turns. Knows the protocol's input side
//! (CLI 2.1.330); knows nothing of how a turn is played.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::history::text_of;
use crate::inbox::Wait;
use crate::opening::VERSION;
use crate::scenario::{Initialize, Status};
use crate::session::{Ending, Halt, Session, UserMessage};

/// What the simulated CLI says it can do; a subset of the real one's.
pub(crate) const CAPABILITIES: [&str; 3] =
    ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"];

impl<W: Write> Session<'_, W> {
    /// Deals with one line of stdin.
    ///
    /// # Errors
    /// [`Halt`] if it ends the turn or the process: a line that is not JSON does, as in the real CLI.
    pub(crate) fn take_line(&mut self, line: &str) -> Result<(), Halt> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            let units = line.encode_utf16().count();
            let kind = type_of_broken(line).unwrap_or("unknown");
            writeln!(
                self.stderr,
                "Error parsing streaming input line (type={kind}, {units} chars): SyntaxError"
            )?;
            return Err(Halt::End(Ending::Exit(1)));
        };
        match message["type"].as_str() {
            Some("user") => self.take_user(&message),
            Some("control_request") => {
                let request_id = message["request_id"].as_str().unwrap_or_default();
                let halt = self.take_request(request_id, &message["request"]);
                // The host waits for the answer, whatever is gathered for chunked writes.
                self.out.flush()?;
                halt
            }
            // Answers to requests we never make, and types of other releases.
            _ => Ok(()),
        }
    }

    fn take_user(&mut self, message: &Value) -> Result<(), Halt> {
        let given = message["uuid"].as_str();
        let uuid = given.map_or_else(|| self.ids.uuid().to_string(), str::to_owned);
        if !self.seen.insert(uuid.clone()) {
            // A resend: no call and no result, as in the real CLI.
            return Ok(());
        }
        let content = message["message"]["content"].clone();
        let queued = UserMessage {
            text: text_of(&content),
            tracked: given.is_some(),
            query: message["shouldQuery"] != json!(false),
            uuid,
            content,
        };
        if queued.tracked {
            self.lifecycle(&queued.uuid, "queued")?;
        }
        self.queue.push_back(queued);
        if self.running && message["priority"] == "now" { Err(Halt::Superseded) } else { Ok(()) }
    }

    fn take_request(&mut self, request_id: &str, request: &Value) -> Result<(), Halt> {
        match request["subtype"].as_str().unwrap_or_default() {
            "initialize" => self.initialize(request_id, request),
            "interrupt" => {
                let cancelled =
                    if request["cancel_queued"] == json!(true) { self.cancel_queued()? } else { vec![] };
                let still_queued: Vec<&str> =
                    self.queue.iter().map(|message| message.uuid.as_str()).collect();
                let answer = json!({ "still_queued": still_queued, "cancelled": cancelled });
                self.succeed(request_id, &answer)?;
                if self.running { Err(Halt::Interrupted) } else { Ok(()) }
            }
            "get_status" => self.status(request_id),
            "end_session" => {
                self.succeed(request_id, &json!({}))?;
                Err(Halt::End(Ending::Exit(0)))
            }
            "set_model" => {
                if let Some(model) = request["model"].as_str() {
                    model.clone_into(&mut self.model);
                }
                let answer = json!({ "model": self.model });
                Ok(self.succeed(request_id, &answer)?)
            }
            "set_permission_mode" => {
                let mode = request["mode"].as_str().unwrap_or("default").to_owned();
                self.succeed(request_id, &json!({ "mode": mode }))?;
                self.permission_mode = mode;
                Ok(self.permission_status()?)
            }
            "set_max_thinking_tokens" => Ok(self.succeed(request_id, &json!({}))?),
            "cancel_async_message" => {
                let wanted = request["message_uuid"].as_str().unwrap_or_default();
                let place = self.queue.iter().position(|message| message.uuid == wanted);
                if let Some(message) = place.and_then(|place| self.queue.remove(place)) {
                    self.lifecycle(&message.uuid, "cancelled")?;
                }
                Ok(self.succeed(request_id, &json!({ "cancelled": place.is_some() }))?)
            }
            unknown => {
                let error = format!("Unsupported control request subtype: {unknown}");
                Ok(self.refuse(request_id, &error, Some("unsupported_request"))?)
            }
        }
    }

    fn initialize(&mut self, request_id: &str, request: &Value) -> Result<(), Halt> {
        match self.behaviour.initialize.clone() {
            Initialize::Answer => {}
            Initialize::Deaf => return Ok(()),
            Initialize::AfterMs(milliseconds) => {
                self.behaviour.initialize = Initialize::Answer;
                self.attend(Wait::Until(Instant::now() + Duration::from_millis(milliseconds)))?;
            }
            Initialize::Refuse(error) => return Ok(self.refuse(request_id, &error, None)?),
        }
        // A second one answers success but does not change the prompt (seen on 2.1.330).
        if !self.initialized {
            self.initialized = true;
            if let Some(prompt) = joined(&request["systemPrompt"]) {
                self.system_prompt = Some(prompt);
            }
            if let Some(more) = joined(&request["appendSystemPrompt"]) {
                let prompt = self.system_prompt.take();
                self.system_prompt =
                    Some(prompt.map_or_else(|| more.clone(), |prompt| format!("{prompt}\n{more}")));
            }
        }
        let answer = json!({
            "commands": [], "agents": [], "output_style": "default", "available_output_styles": ["default"],
            "models": [{ "value": self.model, "displayName": "Simulated", "description": "No model at all" }],
            "account": { "apiKeySource": "simulated" },
            "pid": self.surroundings.process_id, "claude_code_version": VERSION,
            "session_state": if self.running { "running" } else { "idle" }, "capabilities": CAPABILITIES,
        });
        Ok(self.succeed(request_id, &answer)?)
    }

    /// Titled rows of label and value, as 2.1.330 gives them; a subset.
    fn status(&mut self, request_id: &str) -> Result<(), Halt> {
        match self.behaviour.status {
            Status::Answer => {}
            Status::Deaf => return Ok(()),
            Status::AfterMs(milliseconds) => {
                self.attend(Wait::Until(Instant::now() + Duration::from_millis(milliseconds)))?;
            }
        }
        let row = |label: &str, value: &str| json!({ "label": label, "value": value });
        let answer = json!({ "sections": [
            { "title": "Session", "rows": [
                row("Version", VERSION),
                row("Session ID", &self.session_id),
                row("cwd", &self.surroundings.cwd.to_string_lossy()),
                row("API key", "simulated"),
            ] },
            { "title": "Environment", "rows": [row("Model", &self.model)] },
        ] });
        Ok(self.succeed(request_id, &answer)?)
    }

    fn cancel_queued(&mut self) -> io::Result<Vec<String>> {
        let mut cancelled = Vec::new();
        for message in std::mem::take(&mut self.queue) {
            if message.tracked {
                self.lifecycle(&message.uuid, "cancelled")?;
            }
            cancelled.push(message.uuid);
        }
        Ok(cancelled)
    }

    fn succeed(&mut self, request_id: &str, answer: &Value) -> io::Result<()> {
        let response = json!({ "subtype": "success", "request_id": request_id, "response": answer });
        self.out.object(|o| {
            o.field("type", "control_response").field("response", &response);
        })
    }

    fn refuse(&mut self, request_id: &str, error: &str, code: Option<&str>) -> io::Result<()> {
        let mut response = json!({ "subtype": "error", "request_id": request_id, "error": error });
        if let Some(code) = code {
            response["error_code"] = json!(code);
        }
        self.out.object(|o| {
            o.field("type", "control_response").field("response", &response);
        })
    }
}

/// A prompt given as a string or as an array of strings.
fn joined(prompt: &Value) -> Option<String> {
    match prompt {
        Value::String(prompt) => Some(prompt.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")),
        _ => None,
    }
}

/// The `"type":"..."` of a line that is not JSON, as far as it can be seen.
fn type_of_broken(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("\"type\"")?;
    let value = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (kind, _) = value.split_once('"')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (kind.chars().all(is_word) && (1..=40).contains(&kind.len())).then_some(kind)
}
