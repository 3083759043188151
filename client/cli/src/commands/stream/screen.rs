//! What of a turn the user has seen so far, and what comes next. Knows no connection.

use claude_comms_client::{TurnEvent, TurnUpdate, v1};

use super::{Show, place::Place};
use crate::{
    args::Format,
    exit::{Exit, Failure},
    output::{Ui, cost, duration, printable, short_id, span, state, tokens},
};

/// What the user has seen so far.
pub(super) struct Screen<'a> {
    ui: &'a Ui,
    show: Show,
    /// Text that is held back because standard output cannot be taken back.
    held: String,
    /// Text that may yet be reset was shown or is held.
    has_text: bool,
    /// The cursor is within a line.
    within_line: bool,
    /// What was last said of the place in the queue.
    place: Option<Place>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(ui: &'a Ui, show: Show) -> Self {
        Self { ui, show, held: String::new(), has_text: false, within_line: false, place: None }
    }

    /// Shows an event; returns the terminal record after the last one.
    pub(super) fn show(&mut self, event: TurnEvent) -> Result<Option<v1::Turn>, Failure> {
        if self.show == Show::Data {
            let ended = event.update.terminal().cloned();
            if let TurnUpdate::Completed(turn) = &event.update {
                self.ui.json_text(data(turn)?)?;
            }
            return Ok(ended);
        }
        if self.ui.format != Format::Table {
            let ended = event.update.terminal().cloned();
            self.ui.event(&v1::TurnEvent::from(event))?;
            return Ok(ended);
        }
        match event.update {
            TurnUpdate::Text { text, .. } => self.text(&text)?,
            TurnUpdate::Reset { reason } => self.reset(&reason),
            TurnUpdate::Queued { position, ahead, waits_for } => {
                if let Some(words) = Place::say(&mut self.place, position, ahead, &waits_for) {
                    self.note(&words);
                }
            }
            TurnUpdate::Started { attempt, .. } if attempt > 1 => {
                self.note(&format!("started again, try {attempt}"))
            }
            TurnUpdate::Started { .. } if self.place.is_some() => self.note("started"),
            TurnUpdate::Retrying(retrying) => self.note(&retry(&retrying)),
            TurnUpdate::SessionReset { reason } => {
                self.note(&format!("Claude's memory of this conversation was lost: {}", printable(&reason)));
            }
            TurnUpdate::ContextCompacted(event) => self.note(&compacted(&event)),
            TurnUpdate::ToolCall(call) => self.note(&format!("calls {}", printable(&call.name))),
            TurnUpdate::ToolResult(result) if result.is_error => self.note("the tool reported an error"),
            TurnUpdate::Completed(turn) => {
                if !self.held.is_empty() {
                    let held = std::mem::take(&mut self.held);
                    self.ui.write(&held)?;
                    self.within_line = !held.ends_with('\n');
                }
                if self.within_line {
                    self.ui.write("\n")?;
                    self.within_line = false;
                }
                self.footer(&turn);
                return Ok(Some(*turn));
            }
            TurnUpdate::Failed(turn) | TurnUpdate::Cancelled(turn) => {
                self.end_line();
                self.footer(&turn);
                return Ok(Some(*turn));
            }
            _ => {}
        }
        Ok(None)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.has_text = true;
        if !self.ui.live {
            self.held.push_str(text);
            return Ok(());
        }
        self.within_line = !text.ends_with('\n');
        self.ui.write(&printable(text))
    }

    fn reset(&mut self, reason: &str) {
        self.held.clear();
        let had_text = std::mem::take(&mut self.has_text);
        match reason {
            // It costs another answer: worth a word even where nothing was seen of the first.
            "repair" => self.note("(the data did not fit its schema; Claude was asked again)"),
            _ if !had_text => {}
            "tool_use" => self.note("(that was not the answer yet)"),
            "replaced" => self.note("(the answer is another one)"),
            _ => self.note("(the answer begins again)"),
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        if !self.ui.quiet && self.show == Show::Answer {
            self.end_line();
            self.ui.note(text);
        }
    }

    /// Puts the cursor of a terminal at the start of a line.
    pub(super) fn end_line(&mut self) {
        if self.within_line {
            // The text itself was written; a terminal that is gone shows at the next write.
            let _ = self.ui.write("\n");
            self.within_line = false;
        }
    }

    fn footer(&self, turn: &v1::Turn) {
        let mut parts = vec![format!("turn {}", short_id(&turn.id))];
        if turn.state() != v1::TurnState::Completed {
            parts.push(state(turn.state().as_str_name()).to_owned());
        }
        parts.extend([tokens(turn.usage.as_ref()), cost(turn.cost_usd)]);
        parts.extend(span(turn.create_time.as_ref(), turn.end_time.as_ref()).map(duration));
        parts.retain(|part| part != "-");
        self.ui.note(&parts.join(" · "));
    }
}

/// A compaction in words.
pub(crate) fn compacted(event: &v1::ContextCompacted) -> String {
    format!(
        "the conversation was summed up to make room: {} tokens became {}",
        event.tokens_before, event.tokens_after
    )
}

/// A retry in words.
pub(crate) fn retry(retrying: &v1::TurnRetrying) -> String {
    let who = match retrying.scope() {
        v1::RetryScope::Process => "the process ended before it answered",
        v1::RetryScope::Turn => "the API could not take the turn",
        _ => "the API call failed",
    };
    let status = if retrying.http_status == 0 { String::new() } else { format!(" {}", retrying.http_status) };
    let delay =
        retrying.delay.and_then(|delay| std::time::Duration::try_from(delay).ok()).unwrap_or_default();
    format!(
        "{who} ({}{status}); retry {} of {} in {}",
        printable(&retrying.reason),
        retrying.attempt,
        retrying.max_attempts,
        duration(delay)
    )
}

/// The data of a turn that has an answer.
fn data(turn: &v1::Turn) -> Result<&str, Failure> {
    if turn.truncated_fields.iter().any(|field| field == "data_json") {
        return Err(Failure::new(
            Exit::Failed,
            "the answer's data is longer than the 512 KiB that a turn holds",
        )
        .hint("without --data the whole answer is printed"));
    }
    if turn.data_json.is_empty() {
        return Err(Failure::new(Exit::Failed, "the answer has no data")
            .hint("ask for data with --schema FILE, or with a --capability that has an output schema"));
    }
    Ok(&turn.data_json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_not_whole_is_not_printed() {
        let turn = |data_json: &str, cut: &[&str]| v1::Turn {
            data_json: data_json.into(),
            truncated_fields: cut.iter().map(|field| (*field).into()).collect(),
            ..Default::default()
        };
        assert_eq!(data(&turn("[1]", &["text"])).expect("whole"), "[1]");
        for (json, cut, words) in [("", &[][..], "has no data"), ("[1", &["data_json"][..], "longer than")] {
            let failure = data(&turn(json, cut)).expect_err(words);
            assert_eq!(failure.exit, Exit::Failed);
            assert!(failure.message.contains(words) && failure.hint.is_some(), "{failure:?}");
        }
    }
}
