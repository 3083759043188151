//! A request as the stand-in got it, and what tests ask of it. Secrets are dropped before anything is kept.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::Value;

/// How a request proved who it is. The secret itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// `x-api-key`.
    ApiKey,
    /// `authorization: Bearer`.
    Bearer,
    /// Nothing.
    None,
}

/// One request to the Messages API.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path with query, as in `/v1/messages?beta=true`.
    pub path: String,
    /// All headers but those that hold secrets; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// How it was authenticated.
    pub authentication: Authentication,
    /// The body; `Null` where it was not JSON.
    pub body: Value,
}

impl Request {
    pub(super) fn new(path: String, headers: &HeaderMap, body: &[u8]) -> Self {
        let authentication = match (headers.get("x-api-key"), headers.get("authorization")) {
            (Some(_), _) => Authentication::ApiKey,
            (None, Some(_)) => Authentication::Bearer,
            (None, None) => Authentication::None,
        };
        let headers = headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-api-key" | "authorization" | "cookie"))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        Self { path, headers, authentication, body: serde_json::from_slice(body).unwrap_or(Value::Null) }
    }

    /// Whether it asks for server-sent events.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.body["stream"].as_bool().unwrap_or(false)
    }

    /// The model asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// The texts of the system prompt, block by block.
    #[must_use]
    pub fn system_texts(&self) -> Vec<String> {
        texts(&self.body["system"])
    }

    /// What users said, oldest first, one entry a text block. Reminders the CLI adds and tool results are left out.
    #[must_use]
    pub fn user_texts(&self) -> Vec<String> {
        self.said_by("user").into_iter().filter(|text| !text.starts_with("<system-reminder>")).collect()
    }

    /// The last thing a user said; empty when nobody said anything.
    #[must_use]
    pub fn last_user_text(&self) -> String {
        self.user_texts().pop().unwrap_or_default()
    }

    /// What the model said in earlier turns, oldest first, one entry a text block.
    #[must_use]
    pub fn assistant_texts(&self) -> Vec<String> {
        self.said_by("assistant")
    }

    /// Names of the tools offered.
    #[must_use]
    pub fn tool_names(&self) -> Vec<String> {
        let tools = self.body["tools"].as_array().into_iter().flatten();
        tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
    }

    fn said_by(&self, role: &str) -> Vec<String> {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages
            .filter(|message| message["role"] == role)
            .flat_map(|message| texts(&message["content"]))
            .collect()
    }
}

/// The texts of a content that is a string or an array of blocks.
fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}
