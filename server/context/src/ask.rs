//! What is asked of a composer: the focus of a system prompt, and one turn's message.

use serde_json::{Map, Value};

use crate::answer::OutputSchema;

/// What a conversation begins with; the target's capabilities are ranked against it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Focus<'a> {
    /// The first question; may be empty.
    pub prompt: &'a str,
    /// The capability that it names: never left out.
    pub capability: Option<&'a str>,
}

/// One turn.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The template to render; absent means `query` in the first turn, `follow_up` later.
    pub template: Option<&'a str>,
    /// Whether this is the conversation's first turn.
    pub first: bool,
    /// The asker's text; may be empty where the template does not need it.
    pub prompt: &'a str,
    /// The template's parameters, as given.
    pub parameters: &'a Map<String, Value>,
    /// The target's capability that the turn is about.
    pub capability: Option<&'a str>,
    /// The shape that the answer's data must have.
    pub output: Option<&'a OutputSchema>,
    /// The conversation's earlier turns, oldest first.
    pub history: &'a [PastTurn],
    /// Tokens of the conversation's system prompt, out of the same budget.
    pub fixed_tokens: u32,
}

/// An earlier turn of the conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastTurn {
    /// What was asked.
    pub prompt: String,
    /// What was answered; empty when the turn failed.
    pub answer: String,
    /// How it ended, as the contract names it: `COMPLETED`, `FAILED`, `CANCELLED`.
    pub state: String,
}
