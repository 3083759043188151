//! Between whom turns are: the module that asks and the one that answers, as limits, counts and the fair order name them.
//! It must not know what modules are.

use std::{fmt, sync::Arc};

use claude_comms_model::{Conversation, ModuleRef};

/// A module's name, shared; empty where there is none.
pub(crate) type Name = Arc<str>;

/// Who asks and who answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// The module that asks; turns without one count as those of one module.
    pub source: Name,
    /// The module that answers; empty for plain conversations.
    pub target: Name,
}

impl Pair {
    /// By name.
    pub(crate) fn new(source: &str, target: &str) -> Self {
        Self { source: source.into(), target: target.into() }
    }

    /// Of a conversation.
    pub(crate) fn of(conversation: &Conversation) -> Self {
        let name = |module: &Option<ModuleRef>| module.as_ref().map_or("", |module| &module.name).into();
        Self { source: name(&conversation.source_module), target: name(&conversation.target_module) }
    }

    /// Of nobody.
    pub(crate) fn none() -> Self {
        Self::new("", "")
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{}", self.source, self.target)
    }
}
