//! What the messages of a turn take, as the API's stream tells it. It knows nothing of texts.

use super::{MessageStep, TurnUpdate, Usage};
use crate::output::Event;

/// The models that speak in a turn.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    model: String,
    /// Of the subagent that spoke last.
    aside: String,
}

impl Rounds {
    /// An event of the turn's own messages.
    pub(super) fn read(&mut self, event: &Event<'_>, into: &mut Vec<TurnUpdate>) {
        if let Some((usage, ended)) = told(event, &mut self.model) {
            let step = match ended {
                None => MessageStep::Begun,
                Some(reason) => {
                    MessageStep::Ended { goes_on: matches!(reason, "tool_use" | "max_tokens" | "pause_turn") }
                }
            };
            into.push(TurnUpdate::Usage { model: self.model.clone(), usage, step });
        }
    }

    /// An event of a subagent's messages.
    pub(super) fn aside(&mut self, event: &Event<'_>, into: &mut Vec<TurnUpdate>) {
        if let Some((usage, _)) = told(event, &mut self.aside) {
            into.push(TurnUpdate::Usage { model: self.aside.clone(), usage, step: MessageStep::Aside });
        }
    }
}

/// What an event says of tokens, and with it why the message ended, if it did.
fn told<'e>(event: &'e Event<'_>, model: &mut String) -> Option<(Usage, Option<&'e str>)> {
    match event {
        Event::MessageStart { model: named, usage, .. } => {
            *model = named.as_deref().unwrap_or_default().to_owned();
            // What is written is told at the end.
            Some((Usage { output_tokens: 0, ..usage.unwrap_or_default() }, None))
        }
        Event::MessageDelta { stop_reason: Some(reason), usage } => {
            let written = usage.unwrap_or_default().output_tokens;
            Some((Usage { output_tokens: written, ..Usage::default() }, Some(reason)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{output::parse, turn::TurnReader};

    fn read(lines: &[&str]) -> Vec<TurnUpdate> {
        let (mut reader, mut updates) = (TurnReader::new(), Vec::new());
        reader.begin(Uuid::nil());
        for line in lines {
            reader.read(&parse(line).unwrap(), &mut updates);
        }
        updates.retain(|update| matches!(update, TurnUpdate::Usage { .. }));
        updates
    }

    fn start(parent: &str, model: &str) -> String {
        format!(
            r#"{{"type":"stream_event","parent_tool_use_id":{parent},"event":{{"type":"message_start","message":{{"id":"m","model":"{model}","usage":{{"input_tokens":10,"cache_read_input_tokens":7,"cache_creation_input_tokens":null,"output_tokens":1}}}}}}}}"#
        )
    }

    fn end(parent: &str, reason: &str) -> String {
        format!(
            r#"{{"type":"stream_event","parent_tool_use_id":{parent},"event":{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"input_tokens":10,"output_tokens":5}}}}}}"#
        )
    }

    #[test]
    fn each_message_tells_what_it_read_and_then_what_it_wrote() {
        let lines =
            [start("null", "a"), end("null", "tool_use"), start("null", "a"), end("null", "end_turn")];
        let updates = read(&lines.each_ref().map(String::as_str));
        let usage = |input_tokens, cache_read_input_tokens, output_tokens| Usage {
            input_tokens,
            cache_read_input_tokens,
            output_tokens,
            ..Usage::default()
        };
        let told = |usage, step| TurnUpdate::Usage { model: "a".to_owned(), usage, step };
        let round = |goes_on| {
            [told(usage(10, 7, 0), MessageStep::Begun), told(usage(0, 0, 5), MessageStep::Ended { goes_on })]
        };
        assert_eq!(updates, [round(true), round(false)].concat());
    }

    #[test]
    fn a_subagents_messages_cost_and_are_no_rounds() {
        let lines =
            [start("null", "a"), start("\"t\"", "b"), end("\"t\"", "tool_use"), end("null", "end_turn")];
        let told: Vec<_> = read(&lines.each_ref().map(String::as_str))
            .into_iter()
            .map(|update| match update {
                TurnUpdate::Usage { model, step, .. } => (model, step),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            ("a", MessageStep::Begun),
            ("b", MessageStep::Aside),
            ("b", MessageStep::Aside),
            ("a", MessageStep::Ended { goes_on: false }),
        ];
        assert_eq!(told, expected.map(|(model, step)| (model.to_owned(), step)));
    }
}
