//! One turn from its user messages to its result: the lines around the answer,
//! and the ways a turn ends. What happens between is `steps`; how a message is
//! streamed is `message`.

use std::io::{self, Write};
use std::time::Instant;

use serde_json::{Value, json};

use crate::history::INTERRUPTED;
use crate::ledger::Tokens;
use crate::lines::{Said, TurnResult};
use crate::message::Message;
use crate::scenario::{Asked, Chosen, Fail, Step};
use crate::session::{Ending, Halt, Session, UserMessage};

/// A turn being played.
pub(crate) struct Player<'a, 's, W> {
    pub(crate) session: &'a mut Session<'s, W>,
    pub(crate) user_uuids: Vec<String>,
    pub(crate) prompt: String,
    pub(crate) message: Option<Message>,
    pub(crate) message_ids: Vec<String>,
    /// The text of the last text block that ended.
    pub(crate) answer: String,
    /// Calls of the simulated API.
    pub(crate) calls: u32,
    /// `api_retry` lines so far.
    pub(crate) retries: u32,
    pub(crate) tokens: Tokens,
    pub(crate) first_delta_written: bool,
    pub(crate) ttft_ms: Option<u64>,
    started: Instant,
}

/// How a turn that nothing stopped has ended.
#[derive(Debug)]
pub(crate) enum Played<'s> {
    Answered,
    /// As `Answered`; something follows the result.
    AnsweredAnd(&'s [Step]),
    Failed(&'s Fail),
    /// The scenario foresaw another turn.
    Unexpected(String),
}

impl<'s, W: Write> Player<'_, 's, W> {
    /// Plays the turn of these messages, more than one if they waited together.
    ///
    /// # Errors
    /// [`Halt`] if the process is to end.
    pub(crate) fn play(session: &mut Session<'s, W>, messages: Vec<UserMessage>) -> Result<(), Halt> {
        session.turns += 1;
        session.running = true;
        let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        let prompt = texts.join("\n");
        let tracked: Vec<String> =
            messages.iter().filter(|message| message.tracked).map(|message| message.uuid.clone()).collect();
        session.session_state("running")?;
        for message in &messages {
            if message.tracked {
                session.lifecycle(&message.uuid, "started")?;
            }
            session.record_user(&message.uuid, &message.content)?;
            session.history.ask(&message.text);
            if session.flags.replay_user_messages {
                session.user_line(&message.content, &message.uuid, &[("isReplay", json!(true))])?;
            }
        }
        session.init()?;
        session.requesting()?;
        let mut player = Player {
            session,
            user_uuids: tracked,
            prompt,
            message: None,
            message_ids: Vec::new(),
            answer: String::new(),
            calls: 0,
            retries: 0,
            tokens: Tokens::default(),
            first_delta_written: false,
            ttft_ms: None,
            started: Instant::now(),
        };
        let ended = player.steps_then_result();
        player.session.running = false;
        ended
    }

    fn steps_then_result(&mut self) -> Result<(), Halt> {
        let mut after: &[Step] = &[];
        match self.steps() {
            Ok(Played::Answered) => self.succeed()?,
            Ok(Played::AnsweredAnd(steps)) => {
                self.succeed()?;
                after = steps;
            }
            Ok(Played::Failed(fail)) => self.fail(fail)?,
            Ok(Played::Unexpected(wanted)) => {
                let error = format!("the scenario expects {wanted}");
                self.end("error_during_execution", "error", Said::Errors(&[error]))?;
            }
            Err(Halt::Interrupted) => self.interrupted()?,
            Err(Halt::Superseded) => {
                self.interrupt_message(|_| Ok(()))?;
                let answer = std::mem::take(&mut self.answer);
                self.end("success", "aborted_streaming", Said::Text(&answer))?;
            }
            Err(Halt::Signalled) => {
                // SIGINT: the partial answer and the note, but no result (seen on 2.1.330).
                self.interrupt_message(Self::note_interrupt)?;
                return Err(Halt::End(Ending::Exit(0)));
            }
            Err(halt @ Halt::End(_)) => return Err(halt),
        }
        self.session.transcript.end_turn(&self.prompt)?;
        let uuids = self.user_uuids.clone();
        for uuid in &uuids {
            self.session.lifecycle(uuid, "completed")?;
        }
        self.session.session_state("idle")?;
        self.session.out.flush()?;
        for step in after {
            self.step(step)?;
        }
        self.session.out.flush()?;
        Ok(())
    }

    /// Chooses what the turn plays, and plays it.
    fn steps(&mut self) -> Result<Played<'s>, Halt> {
        let asked = Asked {
            prompt: &self.prompt,
            turn_of_conversation: self.session.history.prompts.len(),
            turn_of_process: self.session.turns,
        };
        let chosen = self.session.selection.turn(&asked)?;
        let default_mode = self.session.behaviour.write;
        match chosen {
            Chosen::Rule(rule) => {
                self.session.out.set_mode(rule.write.unwrap_or(default_mode));
                for step in &rule.steps {
                    if let Some(fail) = self.step(step)? {
                        return Ok(Played::Failed(fail));
                    }
                }
                if !rule.after.is_empty() {
                    return Ok(Played::AnsweredAnd(&rule.after));
                }
            }
            Chosen::Default => {
                self.session.out.set_mode(default_mode);
                self.default_answer()?;
            }
            Chosen::Unexpected(wanted) => return Ok(Played::Unexpected(wanted)),
        }
        Ok(Played::Answered)
    }

    fn succeed(&mut self) -> io::Result<()> {
        self.open_message_if_silent()?;
        self.close_message("end_turn")?;
        let answer = std::mem::take(&mut self.answer);
        self.session.history.chars += answer.chars().count();
        self.end("success", "completed", Said::Text(&answer))
    }

    /// A turn of no text still made a call.
    fn open_message_if_silent(&mut self) -> io::Result<()> {
        if self.calls == 0 { self.open_message() } else { Ok(()) }
    }

    fn interrupted(&mut self) -> io::Result<()> {
        let last = if self.message.is_some() { "text" } else { "n/a" };
        self.interrupt_message(Self::note_interrupt)?;
        let error = format!("[ede_diagnostic] result_type=user last_content_type={last} stop_reason=null");
        self.end("error_during_execution", "aborted_streaming", Said::Errors(&[error]))
    }

    fn note_interrupt(&mut self) -> io::Result<()> {
        let uuid = self.session.ids.uuid().to_string();
        let content = json!([{ "type": "text", "text": INTERRUPTED }]);
        self.session.user_line(&content, &uuid, &[])?;
        self.session.record_user(&uuid, &content)
    }

    fn fail(&mut self, fail: &Fail) -> io::Result<()> {
        let status = fail.status.filter(|status| *status != 0);
        // What was streamed and then failed is dropped, as after a cut stream.
        self.message = None;
        if let Some(subtype) = &fail.subtype {
            let reason = match subtype.as_str() {
                "error_max_turns" => "max_turns",
                "error_max_budget_usd" => "budget_exhausted",
                _ => "error",
            };
            let message = fail.message.clone().unwrap_or_else(|| format!("simulated {subtype}"));
            return self.end(subtype, reason, Said::Errors(&[message]));
        }
        let message = fail.message.clone().unwrap_or_else(|| usual_message(status));
        self.synthetic(&message, usual_error(status), status)?;
        self.result(TurnEnd {
            subtype: "success",
            terminal_reason: "api_error",
            is_error: true,
            api_error_status: status,
            stop_reason: Some("stop_sequence"),
            said: Said::Text(&message),
        })
    }

    pub(crate) fn end(&mut self, subtype: &str, terminal_reason: &str, said: Said<'_>) -> io::Result<()> {
        let is_error = subtype != "success";
        let stop_reason = (terminal_reason == "completed").then_some("end_turn");
        self.result(TurnEnd { subtype, terminal_reason, is_error, api_error_status: None, stop_reason, said })
    }

    fn result(&mut self, end: TurnEnd<'_>) -> io::Result<()> {
        let TurnEnd { subtype, terminal_reason, is_error, api_error_status, stop_reason, said } = end;
        let duration_ms = self.elapsed_ms();
        self.session.result(&TurnResult {
            subtype,
            terminal_reason,
            is_error,
            api_error_status,
            stop_reason,
            said,
            tokens: self.tokens,
            num_turns: self.calls.max(1),
            duration_ms,
            ttft_ms: self.ttft_ms,
            message_ids: &self.message_ids,
            user_uuids: &self.user_uuids,
        })
    }

    /// Milliseconds since the turn began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A tool's result, in the output and in the session file.
    pub(crate) fn tool_result(&mut self, id: &str, text: &str, is_error: bool) -> io::Result<()> {
        let blocks = json!([{ "type": "text", "text": text }]);
        let mut result = json!({ "tool_use_id": id, "type": "tool_result", "content": blocks });
        if is_error {
            result["is_error"] = Value::Bool(true);
        }
        let content = Value::Array(vec![result]);
        let uuid = self.session.ids.uuid().to_string();
        self.session.user_line(&content, &uuid, &[("tool_use_result", blocks)])?;
        self.session.record_user(&uuid, &content)
    }
}

/// What differs between the ends of a turn.
struct TurnEnd<'a> {
    subtype: &'a str,
    terminal_reason: &'a str,
    is_error: bool,
    api_error_status: Option<u16>,
    stop_reason: Option<&'a str>,
    said: Said<'a>,
}

/// The real CLI's text for a status of the API.
fn usual_message(status: Option<u16>) -> String {
    match status {
        None => "API Error: Connection refused by the API endpoint (ECONNREFUSED)".to_owned(),
        Some(status @ (401 | 403)) => {
            format!("Failed to authenticate. API Error: {status} {}", body(status))
        }
        Some(404) => {
            "There's an issue with the selected model (simulated). It may not exist or you may not have \
                      access to it."
                .to_owned()
        }
        Some(429) => "API Error: Request rejected (429) · simulated rate limit".to_owned(),
        Some(status) => format!("API Error: {status} {}", body(status)),
    }
}

fn body(status: u16) -> Value {
    let error = json!({ "type": usual_error(Some(status)), "message": "simulated" });
    json!({ "type": "error", "error": error })
}

/// The kind of error in the `assistant` line.
fn usual_error(status: Option<u16>) -> &'static str {
    match status {
        Some(400 | 413) => "invalid_request",
        Some(401 | 403) => "authentication_failed",
        Some(404) => "model_not_found",
        Some(429) => "rate_limit",
        Some(529) => "overloaded",
        Some(500..=599) => "server_error",
        _ => "unknown",
    }
}
