//! Reading the CLI's stdin: the side of a simulated CLI.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::control::{ControlCancel, ControlResponse};
use crate::output::Content;
use crate::{ParseError, text};

/// One line of the CLI's stdin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A user message.
    User(InputUser<'a>),
    /// A request of the host.
    ControlRequest(InputRequest<'a>),
    /// An answer of the host.
    ControlResponse(ControlResponse<'a>),
    /// The host withdraws a request.
    ControlCancel(ControlCancel<'a>),
    /// Ignored by the CLI.
    Unknown {
        /// Its `type`.
        kind: Cow<'a, str>,
    },
}

/// A user message as the CLI reads it.
#[derive(Debug, Clone)]
pub struct InputUser<'a> {
    /// What the user says.
    pub content: Content<'a>,
    /// Its id, if it has one.
    pub uuid: Option<Cow<'a, str>>,
    /// Whether the text is to be taken verbatim.
    pub client_composed: bool,
}

/// A control request as the CLI reads it.
#[derive(Debug, Clone)]
pub struct InputRequest<'a> {
    /// Id to answer with.
    pub request_id: Cow<'a, str>,
    /// `initialize`, `interrupt`, ...
    pub subtype: Cow<'a, str>,
    /// The whole request.
    pub raw: &'a RawValue,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    kind: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    uuid: Option<Cow<'a, str>>,
    #[serde(default)]
    client_composed: Option<bool>,
    #[serde(default, borrow)]
    message: Option<Message<'a>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    request_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Subtype<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    subtype: Cow<'a, str>,
}

/// Reads one line of the CLI's stdin.
///
/// # Errors
/// [`ParseError`] for a line the CLI would die of, or a known kind with wrong fields.
pub fn parse(line: &str) -> Result<Input<'_>, ParseError> {
    let read: Line<'_> = serde_json::from_str(line).map_err(|error| ParseError::new("?", &error))?;
    let missing = |kind: &str, field: &str| ParseError::Malformed {
        kind: kind.to_owned(),
        problem: format!("missing field `{field}`"),
        column: 0,
    };
    Ok(match &*read.kind {
        "user" => {
            let message = read.message.ok_or_else(|| missing("user", "message"))?;
            let content = Content::parse(message.content).map_err(|error| ParseError::new("user", &error))?;
            let client_composed = read.client_composed.unwrap_or(false);
            Input::User(InputUser { content, uuid: read.uuid, client_composed })
        }
        "control_request" => {
            let raw = read.request.ok_or_else(|| missing("control_request", "request"))?;
            let request_id = read.request_id.ok_or_else(|| missing("control_request", "request_id"))?;
            let Subtype { subtype } = serde_json::from_str(raw.get())
                .map_err(|error| ParseError::new("control_request", &error))?;
            Input::ControlRequest(InputRequest { request_id, subtype, raw })
        }
        "control_response" => Input::ControlResponse(ControlResponse::parse(line)?),
        "control_cancel_request" => Input::ControlCancel(ControlCancel::parse(line)?),
        _ => Input::Unknown { kind: read.kind },
    })
}
