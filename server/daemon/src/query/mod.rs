//! A question on its way to a turn: which context it gets, what message is made of it, what its answer must be. It must
//! not know gRPC, and starts nothing: the dispatcher does.

mod prepare;
mod request;

use claude_comms_context::ComposeError;
use claude_comms_model::ConversationId;
use claude_comms_store::StoreError;

pub(crate) use self::{
    prepare::Preparing,
    request::{Place, Query},
};
use crate::modules::SceneryError;

/// A question that cannot be asked; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Bad fields, all of them.
    #[error("the request has bad fields")]
    Fields(Vec<(String, String)>),
    /// There is no such module.
    #[error("there is no module {name}{hint}")]
    UnknownModule {
        /// The name.
        name: String,
        /// Near matches, in words.
        hint: String,
    },
    /// There is no such conversation.
    #[error("there is no conversation {0}")]
    NoConversation(ConversationId),
    /// A module or a template cannot be used as it is; its author or the operator can mend it.
    #[error("{0}")]
    Unusable(String),
    /// The context cannot be made small enough.
    #[error("{0}")]
    Budget(String),
    /// The conversation was upgraded or deleted in the same moment.
    #[error("the conversation was changed in the same moment; try again")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SceneryError> for QueryError {
    fn from(error: SceneryError) -> Self {
        match error {
            SceneryError::UnknownModule { name, hint } => Self::UnknownModule { name, hint },
            error @ (SceneryError::Extends { .. } | SceneryError::Scene(_)) => {
                Self::Unusable(crate::backend::chain(&error))
            }
            SceneryError::Compose(error) => Self::from(error),
            SceneryError::Changed => Self::Changed,
            SceneryError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ComposeError> for QueryError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Fields(fields) => Self::Fields(fields),
            error @ ComposeError::Template { .. } => Self::Unusable(error.to_string()),
            error @ ComposeError::Budget { .. } => Self::Budget(error.to_string()),
        }
    }
}
