//! What is asked of lists.

use claude_comms_model::{ConversationId, IdMatch, Timestamp, TurnStateKind};

/// Which conversations, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationQuery {
    /// Part of an id.
    pub id_match: Option<IdMatch>,
    /// With this module as source or target.
    pub module: Option<String>,
    /// Most items of a page; 0 counts as 1.
    pub limit: usize,
    /// Token of the page; `None` for the first.
    pub token: Option<String>,
}

/// Which turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnQuery {
    /// Of one conversation.
    pub conversation_id: Option<ConversationId>,
    /// Of conversations with this module as source or target.
    pub module: Option<String>,
    /// In one of these states; empty for all.
    pub states: Vec<TurnStateKind>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
    /// Part of an id.
    pub id_match: Option<IdMatch>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Most items of a page; 0 counts as 1.
    pub limit: usize,
    /// Token of the page; `None` for the first.
    pub token: Option<String>,
}
