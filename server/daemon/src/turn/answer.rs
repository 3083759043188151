//! What is demanded of an answer, and whether it is met. Pure: the turn acts on the verdict.

use claude_comms_context::answer::{self, Answer, Finding, OutputSchema};
use claude_comms_model::{Asked, Failure, FailureReason, Transition};

/// What a turn's answer must be.
#[derive(Debug)]
pub(crate) enum Demand {
    /// Any text.
    Nothing,
    /// Text of a module, which may say that it does not know.
    Text,
    /// Data that fits.
    Data(Box<OutputSchema>),
}

/// What an answer is worth.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It ends the turn.
    Final(Transition),
    /// Its data does not fit; the message asks for another answer.
    Repairable {
        /// What to tell Claude.
        message: String,
        /// How the turn ends if nothing better comes.
        otherwise: Transition,
    },
}

impl Demand {
    /// What was demanded when the turn was accepted.
    ///
    /// # Errors
    /// The words for a stored schema that cannot be compiled: it was compiled when the turn was accepted, so that the
    /// validator must have changed since.
    pub(crate) fn of(asked: Option<&Asked>) -> Result<Self, String> {
        let Some(asked) = asked else { return Ok(Self::Nothing) };
        match &asked.output_schema {
            None => Ok(Self::Text),
            Some(text) => OutputSchema::parse(text)
                .map(|schema| Self::Data(Box::new(schema)))
                .map_err(|problem| format!("the turn's schema cannot be used: {problem}")),
        }
    }

    /// Judges a complete answer.
    pub(crate) fn judge(&self, text: String) -> Verdict {
        let schema = match self {
            Self::Nothing => return Verdict::Final(Transition::Complete { text, data_json: None }),
            Self::Text => None,
            Self::Data(schema) => Some(schema.as_ref()),
        };
        match answer::read(&text, schema) {
            Answer::Text => Verdict::Final(Transition::Complete { text, data_json: None }),
            Answer::Data { json, .. } => Verdict::Final(Transition::Complete { text, data_json: Some(json) }),
            Answer::Unanswerable { why } => Verdict::Final(Transition::Fail {
                failure: Failure::new(FailureReason::Unanswerable, why),
                partial_text: text,
            }),
            Answer::Invalid { findings } => Verdict::Repairable {
                message: schema.map(|schema| answer::repair_message(&findings, schema)).unwrap_or_default(),
                otherwise: invalid(&findings, text),
            },
        }
    }
}

fn invalid(findings: &[Finding], partial_text: String) -> Transition {
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let message = format!("the answer's data does not fit the schema: {}", findings.join("; "));
    Transition::Fail { failure: Failure::new(FailureReason::InvalidOutput, message), partial_text }
}
