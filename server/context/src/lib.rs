//! Prompts: what Claude is told of asker and asked, in sections, by templates, within a token budget; and the reading of
//! what comes back. Pure: no I/O, no clock, no registry.
//!
//! A [`Scene`] is all that a conversation's prompts are made of. A [`Composer`] makes of it the system prompt (who asks,
//! for whom Claude answers, how the two stand to each other) and each turn's message (what is asked, and in which form
//! the answer is wanted), and reports what it had to leave out to keep the [token budget](Scene::token_budget).
//! [`answer`] reads what came back, [`templates`] is the engine.

pub mod answer;
mod ask;
mod budget;
mod builtin;
mod capabilities;
mod compose;
mod digest;
mod error;
mod glossary;
mod history;
mod message;
mod near;
mod party;
mod rank;
mod rendering;
mod report;
mod scene;
mod schema;
mod sections;
mod shared;
mod system;
pub mod templates;
mod tokens;
mod value;

pub use ask::{Ask, Focus, PastTurn};
pub use builtin::built_in_templates;
pub use compose::{Composer, SYSTEM_PROMPT_PERCENT};
pub use digest::{Digest, digest};
pub use error::{ComposeError, SceneError};
pub use report::{Composed, Message, Omitted, Place, Report, SectionReport};
pub use scene::{
    DEFAULT_TOKEN_BUDGET, OVERRIDE_ENTRIES, OVERRIDE_TEXT_BYTES, Overrides, Party, RelationshipLine, Scene,
    TOKEN_BUDGETS,
};
pub use sections::OPTIONAL_SECTIONS;
pub use tokens::{SAFETY_PERCENT, estimate_published_tokens, estimate_tokens};
