//! One line of a session file, as far as the fate of a message depends on it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::{Block, Content, Usage};
use crate::text;

/// A line that has a place in a chain. Other lines (`api-request`, `cost-state`, ...) have none and are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "text::required")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text::required")]
    pub(super) uuid: Cow<'a, str>,
    #[serde(rename = "parentUuid", default, borrow, deserialize_with = "text::optional")]
    pub(super) parent_uuid: Option<Cow<'a, str>>,
    /// Over a compaction the chain goes on here; `parentUuid` is null.
    #[serde(rename = "logicalParentUuid", default, borrow, deserialize_with = "text::optional")]
    pub(super) logical_parent_uuid: Option<Cow<'a, str>>,
    #[serde(rename = "isCompactSummary", default)]
    pub(super) is_compact_summary: Option<bool>,
    /// False for text the CLI fills in when it resumes after a user message without an answer.
    #[serde(rename = "isApiErrorMessage", default)]
    pub(super) is_api_error_message: Option<bool>,
    #[serde(rename = "isMeta", default)]
    pub(super) is_meta: Option<bool>,
    #[serde(rename = "isSidechain", default)]
    pub(super) is_sidechain: Option<bool>,
    #[serde(rename = "apiErrorStatus", default)]
    pub(super) api_error_status: Option<u16>,
    #[serde(default, borrow)]
    pub(super) message: Option<Message<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default, borrow, deserialize_with = "text::optional")]
    pub(super) stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
}

pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    serde_json::from_str(line).ok()
}

impl Message<'_> {
    /// The text of all text blocks.
    pub(super) fn text(&self) -> String {
        match Content::parse(self.content) {
            Ok(Content::Text(text)) => text.into_owned(),
            Ok(Content::Blocks(blocks)) => blocks.iter().filter_map(block_text).collect(),
            Err(_) => String::new(),
        }
    }

    pub(super) fn has_tool_result(&self) -> bool {
        matches!(Content::parse(self.content), Ok(Content::Blocks(blocks))
            if blocks.iter().any(|block| block.kind == "tool_result"))
    }
}

fn block_text<'a>(block: &'a Block<'_>) -> Option<&'a str> {
    (block.kind == "text").then_some(block.text.as_deref()).flatten()
}
