//! The first look at a line: its kind, and for a `stream_event` all there is to read.

use std::borrow::Cow;

use serde::Deserialize;

use super::delta;
use super::event::{self, WireEvent};
use super::{
    Assistant, ControlCancel, ControlRequest, ControlResponse, Output, StreamEvent, TurnResult, Unknown, User,
};
use crate::{ParseError, text};

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    subtype: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    event: Option<WireEvent<'a>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    session_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    parent_tool_use_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    uuid: Option<Cow<'a, str>>,
}

/// What is left if a field of [`Head`] has another type than it has in a `stream_event`.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    subtype: Option<Cow<'a, str>>,
}

/// Reads one line of the CLI's stdout.
///
/// # Errors
/// [`ParseError::NotJson`] for a line that is no JSON object, [`ParseError::Malformed`] for one without a `type`, or
/// of a kind turns depend on whose fields are wrong. Informational kinds of a wrong shape become
/// [`Output::Unknown`] instead.
pub fn parse(line: &str) -> Result<Output<'_>, ParseError> {
    match delta::parse(line) {
        Some(delta) => Ok(Output::StreamEvent(delta)),
        None => parse_any(line),
    }
}

/// [`parse`] without the short way for deltas.
pub(super) fn parse_any(line: &str) -> Result<Output<'_>, ParseError> {
    match serde_json::from_str::<Head<'_>>(line) {
        Ok(Head { kind, event: Some(event), session_id, parent_tool_use_id, uuid, .. })
            if kind == "stream_event" =>
        {
            let event = event.into_event()?;
            Ok(Output::StreamEvent(StreamEvent { event, session_id, parent_tool_use_id, uuid }))
        }
        Ok(head) => dispatch(head.kind, head.subtype, line),
        Err(error) if !error.is_data() => Err(ParseError::new("?", &error)),
        Err(_) => {
            let Kind { kind, subtype } =
                serde_json::from_str(line).map_err(|error| ParseError::new("?", &error))?;
            dispatch(kind, subtype, line)
        }
    }
}

fn dispatch<'a>(
    kind: Cow<'a, str>,
    subtype: Option<Cow<'a, str>>,
    line: &'a str,
) -> Result<Output<'a>, ParseError> {
    Ok(match &*kind {
        // Here only if the one-pass reading failed.
        "stream_event" => Output::StreamEvent(event::parse_lenient(line)?),
        "assistant" => Output::Assistant(Box::new(Assistant::parse(line)?)),
        "user" => Output::User(Box::new(User::parse(line)?)),
        "result" => Output::Result(Box::new(TurnResult::parse(line)?)),
        "control_request" => Output::ControlRequest(ControlRequest::parse(line)?),
        "control_response" => Output::ControlResponse(ControlResponse::parse(line)?),
        "control_cancel_request" => Output::ControlCancel(ControlCancel::parse(line)?),
        _ => {
            let known = super::system::parse(&kind, subtype.as_deref(), line);
            known.unwrap_or(Output::Unknown(Unknown { kind, subtype, raw: line }))
        }
    })
}
