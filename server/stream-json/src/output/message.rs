//! `assistant` and `user`: whole messages of the conversation, and their content blocks.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ParseError, text};

/// The model name of messages the CLI made up itself (the text of an error).
const SYNTHETIC: &str = "<synthetic>";

/// `assistant`: a message of the model with, as a rule, one content block; a message of several blocks comes as
/// several lines with the same [`Message::id`].
#[derive(Debug, Clone, Deserialize)]
pub struct Assistant<'a> {
    /// The message as the API has it.
    #[serde(borrow)]
    pub message: Message<'a>,
    /// Set if a subagent speaks: its text is no part of the answer.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub parent_tool_use_id: Option<Cow<'a, str>>,
    /// The CLI's session.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub session_id: Option<Cow<'a, str>>,
    /// Id of this line; the last one of a turn is a point to fork the session at.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub uuid: Option<Cow<'a, str>>,
    /// On synthetic messages: the kind of failure, e.g. `rate_limit`.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub error: Option<Cow<'a, str>>,
}

impl<'a> Assistant<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(line).map_err(|error| ParseError::new("assistant", &error))
    }

    /// Whether the CLI made this message up; then its text is an error, never an answer.
    pub fn is_synthetic(&self) -> bool {
        self.message.model.as_deref() == Some(SYNTHETIC)
    }
}

/// A message of the model.
#[derive(Debug, Clone, Deserialize)]
pub struct Message<'a> {
    /// The API's message id.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub id: Option<Cow<'a, str>>,
    /// The model that answered.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub model: Option<Cow<'a, str>>,
    /// Its content blocks.
    #[serde(borrow)]
    pub content: Vec<Block<'a>>,
    /// Null on stdout for most lines; the session file has it.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub stop_reason: Option<Cow<'a, str>>,
}

/// One content block, flat: which fields are set depends on [`kind`](Self::kind).
#[derive(Debug, Clone, Deserialize)]
pub struct Block<'a> {
    /// `text`, `thinking`, `tool_use`, `tool_result`, ...
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    pub kind: Cow<'a, str>,
    /// Of `text`.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub text: Option<Cow<'a, str>>,
    /// Of `tool_use`: its id.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub id: Option<Cow<'a, str>>,
    /// Of `tool_use`: the tool's name.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub name: Option<Cow<'a, str>>,
    /// Of `tool_use`: the arguments, as they came.
    #[serde(default, borrow)]
    pub input: Option<&'a RawValue>,
    /// Of `tool_result`: the call it answers.
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub tool_use_id: Option<Cow<'a, str>>,
    /// Of `tool_result`: a string or an array of blocks, as it came.
    #[serde(default, borrow)]
    pub content: Option<&'a RawValue>,
    /// Of `tool_result`: whether the tool failed.
    #[serde(default)]
    pub is_error: Option<bool>,
}

/// `user`: tool results, the interrupt notice, or a replayed user message.
#[derive(Debug, Clone)]
pub struct User<'a> {
    /// What was said.
    pub content: Content<'a>,
    /// Set if it belongs to a subagent.
    pub parent_tool_use_id: Option<Cow<'a, str>>,
    /// The CLI's session.
    pub session_id: Option<Cow<'a, str>>,
    /// Id of this line.
    pub uuid: Option<Cow<'a, str>>,
    /// Whether it echoes a message of the host.
    pub is_replay: bool,
}

/// Content of a user message.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Plain text.
    Text(Cow<'a, str>),
    /// Content blocks.
    Blocks(Vec<Block<'a>>),
}

impl<'a> Content<'a> {
    pub(crate) fn parse(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        if raw.get().starts_with('"') {
            let mut text = serde_json::Deserializer::from_str(raw.get());
            return text::required(&mut text).map(Self::Text);
        }
        serde_json::from_str(raw.get()).map(Self::Blocks)
    }
}

#[derive(Deserialize)]
struct UserLine<'a> {
    #[serde(borrow)]
    message: UserBody<'a>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    parent_tool_use_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    session_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    uuid: Option<Cow<'a, str>>,
    #[serde(rename = "isReplay", default)]
    is_replay: Option<bool>,
}

#[derive(Deserialize)]
struct UserBody<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

impl<'a> User<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, ParseError> {
        let error = |error: serde_json::Error| ParseError::new("user", &error);
        let line: UserLine<'a> = serde_json::from_str(line).map_err(error)?;
        Ok(Self {
            content: Content::parse(line.message.content).map_err(error)?,
            parent_tool_use_id: line.parent_tool_use_id,
            session_id: line.session_id,
            uuid: line.uuid,
            is_replay: line.is_replay.unwrap_or(false),
        })
    }
}
