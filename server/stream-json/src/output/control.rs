//! Control requests of the CLI to its host, and the bodies of its answers that a driver reads.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ParseError, text};

/// `control_request` of the CLI. Answer it with a [`crate::control::ControlResponse`] of the same id, or the turn
/// waits for ever.
#[derive(Debug, Clone)]
pub struct ControlRequest<'a> {
    /// Id to answer with.
    pub request_id: Cow<'a, str>,
    /// What is asked.
    pub body: RequestBody<'a>,
}

/// What the CLI asks of its host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RequestBody<'a> {
    /// A JSON-RPC message to an in-process MCP server.
    McpMessage {
        /// The server.
        server_name: Cow<'a, str>,
        /// The JSON-RPC message.
        message: &'a RawValue,
    },
    /// May this tool be called?
    CanUseTool {
        /// The tool.
        tool_name: Cow<'a, str>,
        /// Its arguments.
        input: &'a RawValue,
        /// The call.
        tool_use_id: Option<Cow<'a, str>>,
    },
    /// A hook fired.
    HookCallback {
        /// The id the host gave in `initialize`.
        callback_id: Cow<'a, str>,
        /// The event.
        input: Option<&'a RawValue>,
        /// The call, for hooks about tools.
        tool_use_id: Option<Cow<'a, str>>,
    },
    /// Anything else; answer `unsupported_request`.
    Other {
        /// Its subtype.
        subtype: Cow<'a, str>,
        /// The whole request.
        raw: &'a RawValue,
    },
}

#[derive(Deserialize)]
struct RequestLine<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    request: &'a RawValue,
}

#[derive(Deserialize)]
struct Subtype<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    subtype: Cow<'a, str>,
}

#[derive(Deserialize)]
struct McpMessage<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    server_name: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
}

#[derive(Deserialize)]
struct CanUseTool<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    tool_name: Cow<'a, str>,
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    tool_use_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct HookCallback<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    callback_id: Cow<'a, str>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    tool_use_id: Option<Cow<'a, str>>,
}

impl<'a> ControlRequest<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, ParseError> {
        let error = |error: serde_json::Error| ParseError::new("control_request", &error);
        let RequestLine { request_id, request: raw } = serde_json::from_str(line).map_err(error)?;
        let Subtype { subtype } = serde_json::from_str(raw.get()).map_err(error)?;
        let body = match &*subtype {
            "mcp_message" => {
                let McpMessage { server_name, message } = serde_json::from_str(raw.get()).map_err(error)?;
                RequestBody::McpMessage { server_name, message }
            }
            "can_use_tool" => {
                let CanUseTool { tool_name, input, tool_use_id } =
                    serde_json::from_str(raw.get()).map_err(error)?;
                RequestBody::CanUseTool { tool_name, input, tool_use_id }
            }
            "hook_callback" => {
                let HookCallback { callback_id, input, tool_use_id } =
                    serde_json::from_str(raw.get()).map_err(error)?;
                RequestBody::HookCallback { callback_id, input, tool_use_id }
            }
            _ => RequestBody::Other { subtype, raw },
        };
        Ok(Self { request_id, body })
    }
}

/// Body of the answer to `initialize`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InitializeResponse {
    /// Process id of the CLI itself.
    pub pid: Option<u32>,
    /// E.g. `2.1.330`.
    pub claude_code_version: Option<String>,
    /// What this release of the CLI can do.
    pub capabilities: Vec<String>,
}

/// Body of the answer to `interrupt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InterruptResponse {
    /// User messages that will run next.
    pub still_queued: Vec<String>,
    /// User messages that were dropped.
    pub cancelled: Vec<String>,
}

/// Body of the answer to `get_status`: what the CLI would show a person, as titled rows of label and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusResponse {
    sections: Vec<StatusSection>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct StatusSection {
    rows: Vec<StatusRow>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct StatusRow {
    label: String,
    /// A text on 2.1.330; other shapes of later releases are passed over.
    value: serde_json::Value,
}

impl StatusResponse {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] if a field has another type.
    pub fn parse(body: &RawValue) -> Result<Self, ParseError> {
        serde_json::from_str(body.get()).map_err(|error| ParseError::new("status response", &error))
    }

    /// The text of the first row with this label, e.g. `Version`, `Model`, `cwd`.
    pub fn row(&self, label: &str) -> Option<&str> {
        let mut rows = self.sections.iter().flat_map(|section| &section.rows);
        rows.find(|row| row.label == label)?.value.as_str()
    }

    /// Where the CLI has its credential from: the name of a variable on 2.1.330 (`ANTHROPIC_API_KEY`,
    /// `CLAUDE_CODE_OAUTH_TOKEN`), never the credential. `None` if it has none.
    pub fn credential(&self) -> Option<&str> {
        ["API key", "Auth token"].into_iter().find_map(|label| self.row(label))
    }
}

impl InitializeResponse {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] if a field has another type.
    pub fn parse(body: &RawValue) -> Result<Self, ParseError> {
        serde_json::from_str(body.get()).map_err(|error| ParseError::new("initialize response", &error))
    }
}

impl InterruptResponse {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] if a field has another type.
    pub fn parse(body: &RawValue) -> Result<Self, ParseError> {
        serde_json::from_str(body.get()).map_err(|error| ParseError::new("interrupt response", &error))
    }
}
