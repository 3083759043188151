//! Why a prompt could not be composed, and whose fault it was.

/// A stored scene could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("read a conversation's scene")]
pub struct SceneError(#[source] pub(crate) serde_json::Error);

/// A prompt could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The caller's input is bad; every bad field with what is wrong with it: `template`, `parameters.NAME`, `prompt`,
    /// `capability`, or an override's field. The caller can mend it.
    #[error("{}", in_words(.0))]
    Fields(Vec<(String, String)>),
    /// A template does not render. Its author can mend it.
    #[error("template {name}{}: {message}", at_line(*.line))]
    Template {
        /// The template's name.
        name: String,
        /// The line in it, from 1 on, where one is known.
        line: Option<u32>,
        /// What is wrong.
        message: String,
    },
    /// What is never left out is larger than the budget. The caller can raise it or say less.
    #[error(
        "the {place} needs {needed} tokens of what is never left out, {available} of the token budget of {token_budget} \
         are there for it; a budget of {sufficient} would suffice"
    )]
    Budget {
        /// Which text does not fit: `system prompt` or `message`.
        place: &'static str,
        /// Tokens of the smallest text that says all that must be said.
        needed: u32,
        /// Tokens that it may have.
        available: u32,
        /// The budget of both texts.
        token_budget: u32,
        /// A budget that would suffice.
        sufficient: u32,
    },
}

impl ComposeError {
    /// The bad fields, if that is what it is about.
    pub(crate) fn into_fields(self) -> Vec<(String, String)> {
        match self {
            Self::Fields(fields) => fields,
            _ => Vec::new(),
        }
    }

    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Fields(vec![(field.into(), problem.into())])
    }
}

fn in_words(fields: &[(String, String)]) -> String {
    fields.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; ")
}

fn at_line(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
