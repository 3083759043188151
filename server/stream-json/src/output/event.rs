//! `stream_event`: the hot path. One flat struct holds every event of the Messages API's stream.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Usage;
use crate::{ParseError, text};

/// `stream_event`: one event of the API's answer, passed on as it came.
#[derive(Debug, Clone)]
pub struct StreamEvent<'a> {
    /// The event itself.
    pub event: Event<'a>,
    /// The CLI's session.
    pub session_id: Option<Cow<'a, str>>,
    /// Set if a subagent speaks: its text is no part of the answer.
    pub parent_tool_use_id: Option<Cow<'a, str>>,
    /// Id of this line.
    pub uuid: Option<Cow<'a, str>>,
}

/// An event of the Messages API's stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message begins; what was unfinished before it is void.
    MessageStart {
        /// The API's message id.
        id: Option<Cow<'a, str>>,
        /// The model that answers.
        model: Option<Cow<'a, str>>,
        /// Tokens it has read; of those it writes the beginning.
        usage: Option<Usage>,
    },
    /// A content block begins.
    BlockStart {
        /// Position in the message.
        index: u32,
        /// `text`, `thinking`, `tool_use`, ...
        kind: Cow<'a, str>,
    },
    /// Text of the answer.
    TextDelta {
        /// Position of its block in the message.
        index: u32,
        /// The piece, to be appended.
        text: Cow<'a, str>,
    },
    /// Text of the thinking; never part of the answer.
    ThinkingDelta {
        /// Position of its block in the message.
        index: u32,
        /// The piece, to be appended.
        thinking: Cow<'a, str>,
    },
    /// A piece of a tool's input.
    InputJsonDelta {
        /// Position of its block in the message.
        index: u32,
        /// A piece of JSON text, to be appended.
        partial_json: Cow<'a, str>,
    },
    /// A content block is complete.
    BlockStop {
        /// Position in the message.
        index: u32,
    },
    /// Why the message ended.
    MessageDelta {
        /// `end_turn`, `tool_use`, `max_tokens`, `stop_sequence`, `refusal`, ...
        stop_reason: Option<Cow<'a, str>>,
        /// Tokens it has written; some releases repeat those it has read.
        usage: Option<Usage>,
    },
    /// The message is complete.
    MessageStop,
    /// Anything else: `ping`, `signature_delta`, kinds of later releases.
    Other {
        /// Type of the delta if it is one, else of the event.
        kind: Cow<'a, str>,
    },
}

#[derive(Deserialize)]
pub(super) struct WireEvent<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
    index: Option<u32>,
    #[serde(default, borrow)]
    delta: Option<WireDelta<'a>>,
    #[serde(default, borrow)]
    content_block: Option<WireBlock<'a>>,
    #[serde(default, borrow)]
    message: Option<WireMessage<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
}

/// Tokens, of which some releases tell null.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Self {
            input_tokens: wire.input_tokens.unwrap_or(0),
            output_tokens: wire.output_tokens.unwrap_or(0),
            cache_creation_input_tokens: wire.cache_creation_input_tokens.unwrap_or(0),
            cache_read_input_tokens: wire.cache_read_input_tokens.unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(rename = "type", default, borrow, deserialize_with = "text::optional")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    text: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    thinking: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    partial_json: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireBlock<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(default, borrow, deserialize_with = "text::optional")]
    id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<WireUsage>,
}

impl<'a> WireEvent<'a> {
    pub(super) fn into_event(self) -> Result<Event<'a>, ParseError> {
        let kind = self.kind;
        let index = self.index.unwrap_or(0);
        Ok(match &*kind {
            "content_block_delta" => {
                let delta = self.delta.ok_or_else(|| missing("delta"))?;
                let delta_kind = delta.kind.ok_or_else(|| missing("delta.type"))?;
                match &*delta_kind {
                    "text_delta" => {
                        Event::TextDelta { index, text: delta.text.ok_or_else(|| missing("delta.text"))? }
                    }
                    "thinking_delta" => {
                        Event::ThinkingDelta { index, thinking: delta.thinking.unwrap_or_default() }
                    }
                    "input_json_delta" => {
                        Event::InputJsonDelta { index, partial_json: delta.partial_json.unwrap_or_default() }
                    }
                    _ => Event::Other { kind: delta_kind },
                }
            }
            "message_start" => {
                let (id, model, usage) = self.message.map_or((None, None, None), |message| {
                    (message.id, message.model, message.usage.map(Usage::from))
                });
                Event::MessageStart { id, model, usage }
            }
            "content_block_start" => {
                let block = self.content_block.ok_or_else(|| missing("content_block"))?;
                Event::BlockStart { index, kind: block.kind }
            }
            "content_block_stop" => Event::BlockStop { index },
            "message_delta" => {
                let stop_reason = self.delta.and_then(|delta| delta.stop_reason);
                Event::MessageDelta { stop_reason, usage: self.usage.map(Usage::from) }
            }
            "message_stop" => Event::MessageStop,
            _ => Event::Other { kind },
        })
    }
}

fn missing(field: &str) -> ParseError {
    ParseError::Malformed { kind: KIND.to_owned(), problem: format!("missing field `{field}`"), column: 0 }
}

const KIND: &str = "stream_event";

#[derive(Deserialize)]
struct LenientLine<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    session_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    parent_tool_use_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    uuid: Option<Cow<'a, str>>,
}

/// The kinds [`WireEvent`] reads: of these a wrong shape is an error, of others it is none of our business.
const KNOWN: [&str; 6] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

#[derive(Deserialize)]
struct EventKind<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
}

/// Reads a line which the one-pass reading refused.
pub(super) fn parse_lenient(line: &str) -> Result<StreamEvent<'_>, ParseError> {
    let error = |error: serde_json::Error| ParseError::new(KIND, &error);
    let line: LenientLine<'_> = serde_json::from_str(line).map_err(error)?;
    let EventKind { kind } = serde_json::from_str(line.event.get()).map_err(error)?;
    let event = if KNOWN.contains(&&*kind) {
        serde_json::from_str::<WireEvent<'_>>(line.event.get()).map_err(error)?.into_event()?
    } else {
        Event::Other { kind }
    };
    Ok(StreamEvent {
        event,
        session_id: line.session_id,
        parent_tool_use_id: line.parent_tool_use_id,
        uuid: line.uuid,
    })
}
