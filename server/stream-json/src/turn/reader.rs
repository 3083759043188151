//! The reader of turns: state of the process between turns, and of the turn that runs.

use std::time::Duration;

use uuid::Uuid;

use super::message::Answer;
use super::outcome::{self, Verdict};
use super::rounds::Rounds;
use super::{FailureReason, Outcome, Stray, TurnEnd, TurnUpdate, Usage};
use crate::output::{
    ApiRetry, Assistant, Block, CommandLifecycle, CompactBoundary, Content, Event, Output, StreamEvent,
    TurnResult, User,
};

/// Folds the output of one process. Make one per process: costs are counted per process by the CLI.
///
/// Promises:
/// 1. At [`TurnUpdate::End`] with [`Outcome::Answer`], the text is the concatenation of all
///    [`TurnUpdate::Text`] since the last [`TurnUpdate::Reset`].
/// 2. A message the CLI made up (the text of an error) never becomes text.
/// 3. A `result` that belongs to something else does not end the turn.
/// 4. Before [`begin`](Self::begin) and after the end nothing is told but [`TurnUpdate::Init`] and
///    [`TurnUpdate::SessionReset`].
/// 5. A message that begins while another is unfinished resets the text (`Retry`), and so does one after a tool
///    call (`ToolUse`).
#[derive(Debug, Default)]
pub struct TurnReader {
    total_cost_usd: f64,
    turn: Option<Turn>,
    /// Whether a turn was ended: from then on a result belongs to a turn or to nobody.
    has_answered: bool,
    /// The line that ended the last turn.
    last_result: Option<String>,
    stray: Option<Stray>,
}

#[derive(Debug, Default)]
struct Turn {
    user_uuid: String,
    answer: Answer,
    rounds: Rounds,
    last_assistant_uuid: Option<String>,
}

impl TurnReader {
    /// A reader for a process that was just started.
    pub fn new() -> Self {
        Self::default()
    }

    /// A user message was written; what follows is its turn. A turn that still runs is forgotten.
    pub fn begin(&mut self, user_uuid: Uuid) {
        self.turn = Some(Turn { user_uuid: user_uuid.to_string(), ..Turn::default() });
    }

    /// What was read since the last call that no turn of ours can have caused. The process that said it cannot be
    /// trusted to tell its turns apart.
    pub fn take_stray(&mut self) -> Option<Stray> {
        self.stray.take()
    }

    /// Takes one line and appends what it means. Text is merged into the last update of `into`, if that is text.
    pub fn read(&mut self, output: &Output<'_>, into: &mut Vec<TurnUpdate>) {
        match output {
            Output::Init(init) => into.push(TurnUpdate::Init {
                session_id: init.session_id.clone().into_owned(),
                model: init.model.clone().into_owned(),
                cli_version: init.claude_code_version.clone().unwrap_or_default().into_owned(),
            }),
            Output::ConversationReset(reset) => into.push(TurnUpdate::SessionReset {
                new_session_id: reset.new_conversation_id.clone().into_owned(),
            }),
            Output::Result(result) => self.read_result(result, into),
            Output::CommandLifecycle(command) => self.read_lifecycle(command, into),
            _ => match &mut self.turn {
                Some(turn) => turn.read(output, into),
                None if matches!(output, Output::StreamEvent(_) | Output::Assistant(_)) => {
                    self.stray.get_or_insert(Stray::Output);
                }
                None => {}
            },
        }
    }

    fn read_result(&mut self, result: &TurnResult<'_>, into: &mut Vec<TurnUpdate>) {
        let cost_usd = self.cost_of(result);
        let is_repeated = result.uuid.is_some() && self.last_result.as_deref() == result.uuid.as_deref();
        let Some(mut turn) = self.turn.take_if(|turn| !is_repeated && turn.is_ended_by(result)) else {
            // Without an API round it is the CLI's own answer to some command.
            if self.has_answered && (result.is_error || result.num_turns != Some(0)) {
                self.stray.get_or_insert(Stray::Result);
            }
            return;
        };
        self.has_answered = true;
        self.last_result = result.uuid.clone().map(std::borrow::Cow::into_owned);
        let outcome = match outcome::judge(result) {
            Verdict::Answered => {
                Outcome::Answer { text: turn.answer.settle(result.result.as_deref().unwrap_or(""), into) }
            }
            Verdict::Aborted => Outcome::Aborted,
            Verdict::Failed { reason, http_status, message } => {
                Outcome::Failed { reason, http_status, message }
            }
        };
        into.push(TurnUpdate::End(Box::new(TurnEnd {
            outcome,
            usage: result.usage.unwrap_or_default(),
            cost_usd,
            session_id: result.session_id.clone().unwrap_or_default().into_owned(),
            last_assistant_uuid: turn.last_assistant_uuid,
            num_turns: result.num_turns.unwrap_or(0),
            duration: crate::output::milliseconds(result.duration_ms),
        })));
    }

    /// The CLI prints these after the `result`. With none before, there will be none: the CLI has dropped the message
    /// from its queue, or knows its uuid from the session it resumed (2.1.330, `tests/recorded/redo.jsonl`).
    fn read_lifecycle(&mut self, command: &CommandLifecycle<'_>, into: &mut Vec<TurnUpdate>) {
        let outcome = match &*command.state {
            "completed" => Outcome::Failed {
                reason: FailureReason::ExecutionError,
                http_status: None,
                message: "the session already holds this message, so it was not answered again".to_owned(),
            },
            "cancelled" => Outcome::Aborted,
            _ => return,
        };
        let Some(turn) = self.turn.take_if(|turn| turn.user_uuid == command.command_uuid) else { return };
        into.push(TurnUpdate::End(Box::new(TurnEnd {
            outcome,
            usage: Usage::default(),
            cost_usd: 0.0,
            session_id: String::new(),
            last_assistant_uuid: turn.last_assistant_uuid,
            num_turns: 0,
            duration: Duration::ZERO,
        })));
    }

    /// The CLI sums costs up over the process, and over its predecessors if it resumed a session, so the results of other turns count here too.
    fn cost_of(&mut self, result: &TurnResult<'_>) -> f64 {
        let Some(total) = result.total_cost_usd.filter(|total| total.is_finite()) else { return 0.0 };
        let before = std::mem::replace(&mut self.total_cost_usd, total);
        if let Some(models) = &result.model_usage_since_last_result {
            // Not `sum`: it gives -0.0 for none.
            return models.values().fold(0.0, |sum, model| sum + model.cost_usd);
        }
        // A sum that shrank was started anew.
        if total >= before { total - before } else { total }
    }
}

impl Turn {
    fn is_ended_by(&self, result: &TurnResult<'_>) -> bool {
        let mut named = result
            .user_message_uuids
            .iter()
            .flatten()
            .map(String::as_str)
            .chain(result.user_message_uuid.as_deref())
            .peekable();
        if named.peek().is_some() {
            return named.any(|uuid| uuid == self.user_uuid);
        }
        // Without a uuid, a success without an API round is the CLI's own answer to some command.
        result.is_error || result.num_turns != Some(0)
    }

    fn read(&mut self, output: &Output<'_>, into: &mut Vec<TurnUpdate>) {
        match output {
            Output::StreamEvent(event) => self.read_event(event, into),
            Output::Assistant(assistant) => self.read_assistant(assistant, into),
            Output::User(user) => read_tool_results(user, into),
            Output::ApiRetry(retry) => into.push(api_retry(retry)),
            Output::RateLimit(limit) => into.extend(limit.read().map(TurnUpdate::RateLimit)),
            Output::CompactBoundary(boundary) => into.push(compacted(boundary)),
            _ => {}
        }
    }

    fn read_event(&mut self, line: &StreamEvent<'_>, into: &mut Vec<TurnUpdate>) {
        if line.parent_tool_use_id.is_some() {
            return self.rounds.aside(&line.event, into);
        }
        match &line.event {
            Event::TextDelta { text, .. } => self.answer.append(text, into),
            Event::MessageStart { id, .. } => self.answer.begin_streamed(id.as_deref(), into),
            Event::BlockStart { kind, .. } => self.answer.begin_block(kind),
            Event::MessageDelta { stop_reason: Some(reason), .. } => self.answer.finish_message(reason),
            _ => {}
        }
        self.rounds.read(&line.event, into);
    }

    fn read_assistant(&mut self, line: &Assistant<'_>, into: &mut Vec<TurnUpdate>) {
        if line.parent_tool_use_id.is_some() || line.is_synthetic() {
            return;
        }
        self.answer.continue_or_begin(line.message.id.as_deref(), into);
        if let Some(uuid) = &line.uuid {
            self.last_assistant_uuid = Some(uuid.clone().into_owned());
        }
        for block in &line.message.content {
            match &*block.kind {
                "text" => self.answer.settle_block(block.text.as_deref().unwrap_or(""), into),
                "tool_use" => {
                    self.answer.calls_tool();
                    into.push(tool_call(block));
                }
                _ => {}
            }
        }
    }
}

fn tool_call(block: &Block<'_>) -> TurnUpdate {
    TurnUpdate::ToolCall {
        id: block.id.clone().unwrap_or_default().into_owned(),
        name: block.name.clone().unwrap_or_default().into_owned(),
        input_json: block.input.map_or("{}", |input| input.get()).to_owned(),
    }
}

fn read_tool_results(line: &User<'_>, into: &mut Vec<TurnUpdate>) {
    let Content::Blocks(blocks) = &line.content else { return };
    if line.parent_tool_use_id.is_some() || line.is_replay {
        return;
    }
    for block in blocks.iter().filter(|block| block.kind == "tool_result") {
        into.push(TurnUpdate::ToolResult {
            id: block.tool_use_id.clone().unwrap_or_default().into_owned(),
            is_error: block.is_error.unwrap_or(false),
            content_json: block.content.map_or("null", |content| content.get()).to_owned(),
        });
    }
}

fn compacted(boundary: &CompactBoundary<'_>) -> TurnUpdate {
    let (trigger, tokens_before, tokens_after) = boundary.read();
    TurnUpdate::Compacted { trigger, tokens_before, tokens_after }
}

fn api_retry(retry: &ApiRetry<'_>) -> TurnUpdate {
    TurnUpdate::ApiRetry {
        attempt: retry.attempt,
        max_attempts: retry.max_retries,
        delay: retry.delay(),
        http_status: retry.error_status,
        error: retry.error.clone().unwrap_or_default().into_owned(),
    }
}
