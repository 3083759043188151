//! One instance as it goes on: a line an event for people, with the text of its turns as it comes.

use claude_comms_client::v1;
use v1::{instance_event::Event, turn_event::Event as InTurn};

use super::stream::{compacted, retry};
use crate::{
    args::Format,
    context::{Context, expired, timed_out},
    exit::{Exit, Failure},
    ids,
    output::{Tone, Ui, cost, duration, of_day, printable, short_id, state, tokens},
};

pub(super) async fn follow(
    context: &mut Context<'_>,
    text: &str,
    from: Option<u64>,
) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let request = v1::MonitorInstanceRequest { id, after_sequence: from };
    let client = context.client.clone();
    let mut stream = context.patience.wait(client.monitor_instance(request)).await?;
    let mut connected = stream.connection();
    let limit = context.patience.limit();
    let mut screen = Screen { ui: context.ui, within_line: false };
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Some(Ok(event)) => screen.show(event)?,
                Some(Err(error)) => {
                    screen.end_line()?;
                    return Err(error.into());
                }
                None => return Ok(Exit::Done),
            },
            Ok(()) = connected.changed() => {
                screen.end_line()?;
                let there = *connected.borrow_and_update();
                context.ui.note(if there { "connected again" } else { "connection to the server lost; trying again" });
            }
            () = context.patience.interrupted() => {
                screen.end_line()?;
                return Err(Failure::new(Exit::Interrupted, ""));
            }
            () = expired(limit) => {
                screen.end_line()?;
                return Err(timed_out(limit));
            }
        }
    }
}

struct Screen<'a> {
    ui: &'a Ui,
    /// The cursor is within a line of the answer.
    within_line: bool,
}

impl Screen<'_> {
    fn show(&mut self, event: v1::InstanceEvent) -> Result<(), Failure> {
        if self.ui.format != Format::Table {
            return self.ui.event(&event);
        }
        if let Some(Event::Turn(turn)) = &event.event
            && let Some(InTurn::TextDelta(text)) = &turn.event
        {
            self.within_line = !text.text.ends_with('\n');
            return self.ui.write(&printable(&text.text));
        }
        let Some((what, text)) = event.event.as_ref().and_then(line) else { return Ok(()) };
        self.end_line()?;
        let paint = self.ui.out();
        let time = paint.paint(Tone::Faint, &of_day(event.time.as_ref()));
        let mut lines = text.lines();
        let first = printable(lines.next().unwrap_or_default());
        let mut shown = format!("{time}  {}  {first}\n", paint.paint(Tone::Strong, &format!("{what:<7}")));
        for line in lines {
            shown.extend([" ".repeat(23), printable(line), "\n".to_owned()]);
        }
        self.ui.write(&shown)
    }

    fn end_line(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.within_line) { self.ui.write("\n") } else { Ok(()) }
    }
}

/// What happened, in a word and in a sentence. `None`: nothing that another line does not say.
fn line(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::StateChanged(change) => {
            let now = state(change.state().as_str_name()).to_owned();
            match change.previous() {
                v1::InstanceState::Unspecified => ("state", now),
                previous => ("state", format!("{} → {now}", state(previous.as_str_name()))),
            }
        }
        Event::ProcessStarted(process) => (
            "process",
            format!("{} started, the {}. of this instance", process.process_id, process.generation),
        ),
        Event::ProcessExited(exit) => ("process", format!("{} (code {})", exit.reason, exit.code)),
        Event::TurnStarted(turn) if turn.attempt > 1 => {
            ("turn", format!("{} started again, try {}", short_id(&turn.turn_id), turn.attempt))
        }
        Event::TurnStarted(turn) => ("turn", format!("{} started", short_id(&turn.turn_id))),
        Event::TurnEnded(turn) => ("turn", ended(turn)),
        Event::Stderr(piece) => {
            let skipped = match piece.skipped_bytes {
                0 => String::new(),
                bytes => format!("({bytes} bytes before this were missed)\n"),
            };
            ("stderr", format!("{skipped}{}", piece.text))
        }
        Event::Health(health) => {
            let reason =
                if health.reason.is_empty() { String::new() } else { format!(": {}", health.reason) };
            let status = health.status().as_str_name().replace("INSTANCE_HEALTH_STATUS_", "");
            ("health", format!("{status}{reason}"))
        }
        Event::Turn(turn) => return in_turn(turn.event.as_ref()?),
    })
}

fn ended(turn: &v1::InstanceTurnEnded) -> String {
    let mut parts = vec![format!("{} {}", short_id(&turn.turn_id), state(turn.state().as_str_name()))];
    parts.extend([turn.reason.clone(), tokens(turn.usage.as_ref()), cost(turn.cost_usd)]);
    parts.extend(turn.duration.and_then(|d| std::time::Duration::try_from(d).ok()).map(duration));
    parts.retain(|part| !part.is_empty() && part != "-");
    parts.join(" · ")
}

fn in_turn(event: &InTurn) -> Option<(&'static str, String)> {
    Some(match event {
        InTurn::TextReset(reset) => ("text", format!("void, it begins again ({})", reset.reason)),
        InTurn::ToolCall(call) => ("tool", format!("calls {} {}", call.name, head(&call.input_json))),
        InTurn::ToolResult(result) => {
            let error = if result.is_error { "error " } else { "" };
            ("tool", format!("{error}{}", head(&result.content_json)))
        }
        InTurn::Retrying(retrying) => ("retry", retry(retrying)),
        InTurn::ContextCompacted(event) => ("memory", compacted(event)),
        InTurn::SessionReset(reset) => ("memory", format!("lost: {}", reset.reason)),
        // The instance's own events say the rest.
        _ => return None,
    })
}

/// The beginning of a text that may be long.
fn head(text: &str) -> String {
    let head: String = text.chars().take(200).collect();
    if head.len() < text.len() { format!("{head}…") } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_a_word_and_a_sentence_for_each_kind_of_event() {
        let turn_id = "019ab000-0000-7000-8000-00000000abcd".to_owned();
        let event = |event| Event::Turn(Box::new(v1::TurnEvent { event: Some(event), ..Default::default() }));
        let usage = Some(v1::Usage { input_tokens: 12, output_tokens: 34, ..Default::default() });
        let events = [
            Event::StateChanged(v1::InstanceStateChanged { state: 2, previous: 0 }),
            Event::StateChanged(v1::InstanceStateChanged { state: 3, previous: 2 }),
            Event::ProcessStarted(v1::InstanceProcessStarted { process_id: 71, generation: 2 }),
            Event::ProcessExited(v1::InstanceExit {
                code: 137,
                reason: "crashed".into(),
                ..Default::default()
            }),
            Event::TurnStarted(v1::InstanceTurnStarted {
                turn_id: turn_id.clone(),
                attempt: 1,
                ..Default::default()
            }),
            Event::TurnStarted(v1::InstanceTurnStarted {
                turn_id: turn_id.clone(),
                attempt: 2,
                ..Default::default()
            }),
            Event::TurnEnded(v1::InstanceTurnEnded {
                turn_id,
                state: v1::TurnState::Failed.into(),
                reason: "API_OVERLOADED".into(),
                usage,
                cost_usd: 0.0123,
                duration: Some(prost_types::Duration { seconds: 3, nanos: 240_000_000 }),
            }),
            Event::Stderr(v1::InstanceStderr {
                text: "one\ntwo\n".into(),
                skipped_bytes: 9,
                ..Default::default()
            }),
            event(InTurn::ToolCall(v1::ToolCall {
                name: "Bash".into(),
                input_json: "{}".into(),
                ..Default::default()
            })),
            event(InTurn::ToolResult(v1::ToolResult {
                is_error: true,
                content_json: "\"no\"".into(),
                ..Default::default()
            })),
            event(InTurn::TextReset(v1::TextReset { reason: "retry".into() })),
        ];
        let shown: Vec<_> =
            events.iter().filter_map(line).map(|(what, text)| format!("{what}: {text}")).collect();
        assert_eq!(
            shown,
            [
                "state: IDLE",
                "state: IDLE → BUSY",
                "process: 71 started, the 2. of this instance",
                "process: crashed (code 137)",
                "turn: 0000abcd started",
                "turn: 0000abcd started again, try 2",
                "turn: 0000abcd FAILED · API_OVERLOADED · 12 in, 34 out · $0.0123 · 3.2 s",
                "stderr: (9 bytes before this were missed)\none\ntwo\n",
                "tool: calls Bash {}",
                "tool: error \"no\"",
                "text: void, it begins again (retry)",
            ]
        );
        assert_eq!(line(&event(InTurn::Accepted(v1::TurnAccepted::default()))), None);
    }
}
