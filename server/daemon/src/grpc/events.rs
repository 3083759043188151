//! A turn's events as the wire has them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use claude_comms_model::EventKind;
use claude_comms_proto::v1::{self, turn_event::Event as Wire};
use futures_core::Stream;
use tonic::Status;

use super::{
    convert::{self, Shown, cut},
    status::ApiError,
};
use crate::{
    live::{LiveEvent, Place, Told, TurnWatch},
    telemetry::Watching,
};

/// Longest JSON of a tool call or result, bytes.
const TOOL_JSON_BYTES: usize = 512 << 10;

/// A watch as a response. Ready as long as there is something, so that tonic packs messages together.
#[derive(Debug)]
pub(crate) struct TurnEvents {
    turn_id: String,
    watch: TurnWatch,
    /// Counts it as open.
    _watching: Watching,
}

impl TurnEvents {
    pub(super) fn new(turn_id: impl ToString, watch: TurnWatch, watching: Watching) -> Self {
        Self { turn_id: turn_id.to_string(), watch, _watching: watching }
    }
}

impl Stream for TurnEvents {
    type Item = Result<v1::TurnEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.watch).poll_next(context).map(|told| {
            told.map(|told| match told {
                Ok(told) => Ok(wire(&self.turn_id, told)),
                Err(why) => Err(ApiError::Detached(why).into()),
            })
        })
    }
}

/// An event of a turn as every stream has it.
pub(super) fn wire(turn_id: &str, told: Told) -> v1::TurnEvent {
    let (sequence, time, event) = match told {
        Told::Text { sequence, offset, text } => {
            (sequence, None, Wire::TextDelta(v1::TextDelta { offset, text }))
        }
        Told::Live { sequence, time, event } => (sequence, Some(time), live(event)),
        Told::Durable { event, turn } => {
            let record = turn.map(|turn| convert::turn(&turn, Shown::Alone));
            let conversation_id = event.conversation_id.to_string();
            (event.sequence, Some(event.time), durable(event.kind, record, conversation_id))
        }
    };
    v1::TurnEvent {
        sequence,
        turn_id: turn_id.to_owned(),
        time: time.map(convert::timestamp),
        event: Some(event),
    }
}

fn live(event: LiveEvent) -> Wire {
    match event {
        LiveEvent::Queued(Place { position, ahead, waits_for }) => {
            Wire::Queued(v1::TurnQueued { position, ahead, waits_for: waits_for.as_str().to_owned() })
        }
        LiveEvent::ToolCall { id, name, input_json } => {
            let (input_json, was_cut) = cut(&input_json, TOOL_JSON_BYTES);
            let truncated_fields = if was_cut { vec!["input_json".to_owned()] } else { Vec::new() };
            Wire::ToolCall(v1::ToolCall { id, name, input_json, truncated_fields })
        }
        LiveEvent::ToolResult { id, is_error, content_json } => {
            let (content_json, was_cut) = cut(&content_json, TOOL_JSON_BYTES);
            let truncated_fields = if was_cut { vec!["content_json".to_owned()] } else { Vec::new() };
            Wire::ToolResult(v1::ToolResult { id, is_error, content_json, truncated_fields })
        }
        LiveEvent::ContextCompacted { trigger, tokens_before, tokens_after } => {
            Wire::ContextCompacted(v1::ContextCompacted { trigger, tokens_before, tokens_after })
        }
        LiveEvent::ApiRetry { attempt, max_attempts, delay, http_status, error, until } => {
            Wire::Retrying(v1::TurnRetrying {
                scope: v1::RetryScope::Api.into(),
                attempt,
                max_attempts,
                delay: prost_types::Duration::try_from(delay).ok(),
                reason: error,
                http_status: http_status.map_or(0, i32::from),
                until_time: until.map(|until| convert::timestamp(until.into())),
            })
        }
    }
}

fn durable(kind: EventKind, turn: Option<v1::Turn>, conversation_id: String) -> Wire {
    match kind {
        EventKind::Accepted { request_id } => {
            Wire::Accepted(v1::TurnAccepted { conversation_id, request_id: request_id.to_string() })
        }
        EventKind::Started { instance_id, attempt } => {
            Wire::Started(v1::TurnStarted { instance_id: instance_id.to_string(), attempt })
        }
        EventKind::TextReset { reason } => {
            Wire::TextReset(v1::TextReset { reason: reason.as_str().to_owned() })
        }
        EventKind::Retrying { attempt, max_attempts, delay, reason, again, http_status, until } => {
            let scope = if again { v1::RetryScope::Turn } else { v1::RetryScope::Process };
            Wire::Retrying(v1::TurnRetrying {
                scope: scope.into(),
                attempt,
                max_attempts,
                delay: prost_types::Duration::try_from(delay).ok(),
                reason,
                http_status: http_status.map_or(0, i32::from),
                until_time: until.map(convert::timestamp),
            })
        }
        EventKind::SessionReset { reason } => Wire::SessionReset(v1::SessionReset { reason }),
        EventKind::Completed => Wire::Completed(v1::TurnCompleted { turn }),
        EventKind::Failed => Wire::Failed(v1::TurnFailed { turn }),
        EventKind::Cancelled => Wire::Cancelled(v1::TurnCancelled { turn }),
    }
}
