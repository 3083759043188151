//! A turn's one line at its one terminal record: ids, names, times and numbers; never a text of anybody's.

use claude_comms_model::{Conversation, Turn, TurnState};

use super::{Figures, call::Origin, figures::name_of};

/// Between whom a turn is, and which call it came from.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    source: String,
    target: String,
    origin: Origin,
}

/// Where a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// In the hands of this server.
    Here,
    /// At its start: an earlier run left it, and its times say nothing of this one.
    AtStart,
}

impl Asker {
    /// Of a turn of this conversation.
    pub fn of(conversation: &Conversation, origin: Origin) -> Self {
        Self {
            source: name_of(conversation.source_module.as_ref()).to_owned(),
            target: name_of(conversation.target_module.as_ref()).to_owned(),
            origin,
        }
    }
}

impl Asker {
    /// The span that its turn belongs to.
    pub(crate) fn parent(&self) -> super::trace::Parent {
        self.origin.parent()
    }
}

impl Figures {
    /// A turn's terminal record is on disk.
    pub fn turn_ended(&self, turn: &Turn, asker: &Asker, settled: Settled) {
        let reason = match &turn.state {
            TurnState::Queued | TurnState::Running { .. } | TurnState::Completed { .. } => "",
            TurnState::Failed { failure, .. } => failure.reason.as_str(),
            TurnState::Cancelled { failure, .. } => failure.reason.as_str(),
        };
        let state = turn.state.kind().as_str();
        let span =
            |until: Option<claude_comms_model::Timestamp>| until.map(|until| until.since(turn.create_time));
        let (queue, first_token, total) =
            (span(turn.start_time), span(turn.first_token_time), span(turn.end_time));
        let counters = self.counters();
        counters.turns.with_label_values(&[state, reason]).inc();
        self.pair(&asker.source, &asker.target, state);
        self.tokens(turn.usage, turn.cost_usd);
        if settled == Settled::Here {
            let observed =
                [(&counters.queue, queue), (&counters.first_token, first_token), (&counters.duration, total)];
            for (histogram, span) in observed {
                if let Some(span) = span {
                    histogram.observe(span.as_secs_f64());
                }
            }
        }
        let milliseconds =
            |span: Option<std::time::Duration>| span.map(|span| span.as_micros() as f64 / 1000.0);
        // Flat, and only ids, names and numbers: whoever adds a field here must not add a text.
        tracing::info!(
            target: "claude_comms::turn",
            {
            conversation.id = %turn.conversation_id,
            turn.id = %turn.id,
            instance.id = turn.instance_id.map(tracing::field::display),
            source_module = some(&asker.source),
            target_module = some(&asker.target),
            rpc = some(asker.origin.rpc()),
            trace.id = asker.origin.trace_id(),
            state,
            reason = some(reason),
            attempt = turn.attempt,
            queue_ms = milliseconds(queue),
            first_token_ms = milliseconds(first_token),
            total_ms = milliseconds(total),
            input_tokens = turn.usage.input_tokens,
            output_tokens = turn.usage.output_tokens,
            cache_creation_input_tokens = turn.usage.cache_creation_input_tokens,
            cache_read_input_tokens = turn.usage.cache_read_input_tokens,
            cost_usd = turn.cost_usd,
            settled_at_start = (settled == Settled::AtStart).then_some(true),
            },
            "turn ended"
        );
    }
}

/// A text that is there.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
