//! Control requests of the host to the CLI.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::encode;

/// `control_request` of the host. The CLI answers with the same id, before, between and during turns.
#[derive(Debug, Clone)]
pub struct ControlRequest<'a> {
    /// Unique in the process; echoed by the answer.
    pub request_id: &'a str,
    /// What is asked.
    pub request: Request<'a>,
}

/// What a host may ask.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request<'a> {
    /// First of all, once: prompt and tools of the process. A second one changes nothing.
    Initialize(Initialize<'a>),
    /// Stop the running turn; the process stays usable. When idle it succeeds and no `result` follows.
    Interrupt {
        /// Also drop the messages that wait.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        cancel_queued: bool,
    },
    /// Leave with exit code 0.
    EndSession {
        /// Text for the log of the CLI.
        reason: &'a str,
    },
    /// Drop a user message that still waits.
    CancelAsyncMessage {
        /// The user message.
        message_uuid: Uuid,
    },
    /// Change the model; a model not used before costs a test call to the API.
    SetModel {
        /// Alias or full name.
        model: &'a str,
    },
    /// Change the permission mode.
    SetPermissionMode {
        /// E.g. `dontAsk`.
        mode: &'a str,
    },
    /// Change the thinking budget; 0 turns thinking off.
    SetMaxThinkingTokens {
        /// Tokens.
        max_thinking_tokens: u32,
    },
    /// Token counts of the context; costs API calls.
    GetContextUsage,
    /// What the CLI is and how it is logged in; answered locally, also while a turn runs. See
    /// [`StatusResponse`](crate::output::StatusResponse).
    GetStatus,
    /// States of the MCP servers.
    McpStatus,
    /// Replace the in-process MCP servers.
    McpSetServers {
        /// The servers by name.
        servers: &'a RawValue,
    },
    /// Any request of [`Request::PLAIN`], or one of a later release, without fields.
    #[serde(untagged)]
    Plain {
        /// Its subtype.
        subtype: &'a str,
    },
}

impl Request<'_> {
    /// Requests without fields that are answered locally in 1-12 ms (CLI 2.1.330); for [`Request::Plain`].
    pub const PLAIN: [&'static str; 5] =
        ["get_settings", "get_usage", "get_session_cost", "list_models", "get_binary_version"];
}

/// Fields of `initialize`; what is `None` or empty is left to the command line.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Initialize<'a> {
    /// Hook callbacks by event; not under `--bare`.
    pub hooks: Option<&'a RawValue>,
    /// Replaces the system prompt. Here and not in argv, which is limited and world-readable.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_array")]
    pub system_prompt: Option<&'a str>,
    /// Added to the CLI's own system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_system_prompt: Option<&'a str>,
    /// A schema the answer must satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<&'a RawValue>,
    /// Names of the in-process MCP servers.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub sdk_mcp_servers: &'a [&'a str],
    /// Tool lists of these servers, which save three round trips each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sdk_mcp_server_manifests: BTreeMap<&'a str, &'a RawValue>,
}

impl<'a> Initialize<'a> {
    /// An `initialize` that sets only the system prompt.
    pub fn with_system_prompt(system_prompt: Option<&'a str>) -> Self {
        Self { system_prompt, ..Self::default() }
    }
}

/// The CLI wants the system prompt as an array of strings.
fn in_array<S: serde::Serializer>(prompt: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(prompt)
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    request_id: &'a str,
    request: &'a Request<'a>,
}

impl ControlRequest<'_> {
    /// Appends this request as one line.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let line = Line { r#type: "control_request", request_id: self.request_id, request: &self.request };
        encode::line(&line, out);
    }
}
