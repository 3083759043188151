//! What each step of a scenario does. It knows steps one by one; the turn
//! around them is the player's.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::default_answer::{self, Question, words};
use crate::effects;
use crate::inbox::Wait;
use crate::lines::Said;
use crate::message::BlockKind;
use crate::player::Player;
use crate::scenario::{ApiRetry, Crash, Fail, Garbage, HugeLine, HugeLineKind, Repeat, Step, ToolCall};
use crate::session::{Ending, Halt};

const MEBIBYTE: usize = 1024 * 1024;

impl<W: Write> Player<'_, '_, W> {
    /// Plays one step; a failure to end the turn with, if that is the step.
    ///
    /// # Errors
    /// [`Halt`] if something ends the turn or the process meanwhile.
    pub(crate) fn step<'s>(&mut self, step: &'s Step) -> Result<Option<&'s Fail>, Halt> {
        match step {
            Step::Text(text) => self.delta(BlockKind::Text, text)?,
            Step::Deltas(texts) => {
                for text in texts {
                    self.delta(BlockKind::Text, text)?;
                }
            }
            Step::Words(text) => self.say(text)?,
            Step::Repeat(repeat) => self.repeat(repeat)?,
            Step::Echo => {
                let prompt = self.prompt.clone();
                self.say(&prompt)?;
            }
            Step::DefaultAnswer => self.default_answer()?,
            Step::Recite => self.recite()?,
            Step::Thinking(text) => {
                self.delta(BlockKind::Thinking, text)?;
                let user_uuid = self.user_uuids.last().cloned();
                self.session.thinking_tokens(text.len().div_ceil(4), user_uuid.as_ref())?;
            }
            Step::MessageStart => self.open_message()?,
            Step::CutStream => self.message = None,
            Step::DelayMs(milliseconds) => self.pause(*milliseconds)?,
            Step::ToolCall(call) => self.tool_call(call)?,
            Step::ApiRetry(retry) => self.api_retry(retry)?,
            Step::Garbage(garbage) => self.garbage(*garbage)?,
            Step::Raw(line) => self.session.out.raw(line.as_bytes())?,
            Step::HugeLine(huge) => self.huge_line(huge)?,
            Step::Stderr(text) => self.session.stderr.write_all(text.as_bytes())?,
            Step::StderrKibibytes(count) => {
                let line = format!("{}\n", "noise ".repeat(170) + "...");
                for _ in 0..*count {
                    self.session.stderr.write_all(line.as_bytes())?;
                }
            }
            Step::SpawnGrandchild(grandchild) => {
                let pid = effects::spawn_grandchild(*grandchild)?;
                writeln!(self.session.stderr, "simulated grandchild {pid}")?;
            }
            // Written to, so that the system has to give it.
            Step::AllocateMebibytes(count) => {
                self.session.behaviour.ballast.push(vec![1; count * MEBIBYTE]);
            }
            Step::Status(status) => self.session.behaviour.status = *status,
            Step::Result(text) => self.end("success", "completed", Said::Text(text))?,
            Step::CloseStdout => {
                self.session.out.flush()?;
                effects::close_stdout()?;
            }
            Step::Hang => self.session.attend(Wait::Forever)?,
            Step::Crash(crash) => {
                return Err(Halt::End(match crash {
                    Crash::Kill => Ending::Kill,
                    Crash::Exit(code) => Ending::Exit(*code),
                }));
            }
            Step::Fail(fail) => return Ok(Some(fail)),
        }
        Ok(None)
    }

    /// The answer given without a scenario.
    ///
    /// # Errors
    /// As of any step.
    pub(crate) fn default_answer(&mut self) -> Result<(), Halt> {
        let question = Question {
            prompts: &self.session.history.prompts,
            system_prompt: self.session.system_prompt.as_deref().filter(|prompt| !prompt.is_empty()),
        };
        let answer = default_answer::answer(&question);
        self.say(&answer)
    }

    fn recite(&mut self) -> Result<(), Halt> {
        let told = self.session.system_prompt.iter().chain(&self.session.history.prompts);
        let lines: String = told.flat_map(|text| [text, "\n"]).collect();
        self.delta(BlockKind::Text, &lines)
    }

    fn say(&mut self, text: &str) -> Result<(), Halt> {
        words(text).try_for_each(|word| self.delta(BlockKind::Text, word))
    }

    fn repeat(&mut self, repeat: &Repeat) -> Result<(), Halt> {
        for _ in 0..repeat.count {
            self.delta(BlockKind::Text, &repeat.text)?;
            if let Some(delay) = repeat.delay() {
                self.session.attend(Wait::Until(Instant::now() + delay))?;
            }
        }
        Ok(())
    }

    fn pause(&mut self, milliseconds: u64) -> Result<(), Halt> {
        self.session.attend(Wait::Until(Instant::now() + Duration::from_millis(milliseconds)))
    }

    fn tool_call(&mut self, call: &ToolCall) -> Result<(), Halt> {
        let id = format!("toolu_sim_{}", self.session.ids.uuid().simple());
        self.tool_use(&id, &call.name, &Value::Object(call.input.clone()))?;
        self.close_message("tool_use")?;
        self.pause(call.delay_ms)?;
        Ok(self.tool_result(&id, &call.result.text, call.result.is_error)?)
    }

    fn api_retry(&mut self, retry: &ApiRetry) -> Result<(), Halt> {
        let error = retry.error.as_deref().unwrap_or("unknown");
        for _ in 0..retry.times {
            self.retries += 1;
            self.session.api_retry(self.retries, retry.max_retries, retry.delay_ms, retry.status, error)?;
            self.pause(retry.delay_ms)?;
        }
        Ok(())
    }

    fn garbage(&mut self, garbage: Garbage) -> Result<(), Halt> {
        let line: &[u8] = match garbage {
            Garbage::NotJson => b"(node:1) Warning: this line is no JSON, and \xff no UTF-8",
            Garbage::BrokenJson => br#"{"type":"assistant","message":{"content":[{"type":"te"#,
            Garbage::UnknownType => br#"{"type":"future_thing","nested":{"deep":[1,2,{"x":null}]},"text":"not an answer"}"#,
            Garbage::UnknownSubtype => br#"{"type":"system","subtype":"future_subtype","text":"not an answer"}"#,
            Garbage::UnknownStreamEvent => {
                br#"{"type":"stream_event","event":{"type":"future_event","index":7},"session_id":"","parent_tool_use_id":null,"uuid":""}"#
            }
        };
        Ok(self.session.out.raw(line)?)
    }

    fn huge_line(&mut self, huge: &HugeLine) -> Result<(), Halt> {
        let text = "x".repeat(huge.mebibytes * MEBIBYTE);
        match huge.kind {
            HugeLineKind::Delta => self.delta(BlockKind::Text, &text),
            HugeLineKind::UnknownType => Ok(self.session.out.object(|o| {
                o.field("type", "future_thing").field("text", &text);
            })?),
        }
    }
}
