//! What the stand-in answers: built by a test, played by `stream`. It knows no HTTP.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{Gate, Request};

type Compose = dyn Fn(&Request) -> Vec<String> + Send + Sync;

/// One answer to one request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) before_head: Option<Gate>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Message(Message),
    Refusal(Refusal),
    /// The connection stays open and nothing is ever sent.
    Silence,
}

#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) message: String,
    pub(super) retry_after_seconds: Option<u32>,
}

#[derive(Clone)]
pub(super) struct Message {
    pub(super) thinking: Option<String>,
    pub(super) compose: Arc<Compose>,
    pub(super) deltas: Option<usize>,
    pub(super) tools: Vec<(String, Value)>,
    /// Gates by the number of text deltas before them.
    pub(super) gates: Vec<(usize, Gate)>,
    pub(super) fault: Option<(usize, Fault)>,
}

/// What ends a stream early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Cut,
    ErrorEvent,
    Hang,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("deltas", &self.deltas)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// An answer made from the request, one delta an element.
    pub fn compose(compose: impl Fn(&Request) -> Vec<String> + Send + Sync + 'static) -> Self {
        let message = Message {
            thinking: None,
            compose: Arc::new(compose),
            deltas: None,
            tools: Vec::new(),
            gates: Vec::new(),
            fault: None,
        };
        Self { before_head: None, kind: Kind::Message(message) }
    }

    /// This text, in one delta unless [`Reply::in_deltas`] says otherwise.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::compose(move |_| vec![text.clone()])
    }

    /// `tok0 tok1 ...`, one delta each.
    #[must_use]
    pub fn tokens(count: usize) -> Self {
        Self::compose(move |_| (0..count).map(|index| format!("tok{index} ")).collect())
    }

    /// The last thing the user said, unchanged.
    #[must_use]
    pub fn echo() -> Self {
        Self::compose(|request| vec![request.last_user_text()])
    }

    /// `heard N: FIRST ... LAST`: how many things users said in this request, so that the growth of the history shows in the answer.
    #[must_use]
    pub fn history() -> Self {
        Self::compose(|request| {
            let texts = request.user_texts();
            let ends = texts.first().zip(texts.last());
            vec![ends.map_or("heard 0".into(), |(first, last)| {
                format!("heard {}: {first} ... {last}", texts.len())
            })]
        })
    }

    /// An HTTP error with the error type that the Messages API gives for this status.
    #[must_use]
    pub fn error(status: u16) -> Self {
        let (error, message) = match status {
            400 => ("invalid_request_error", "stand-in: invalid request"),
            401 => ("authentication_error", "stand-in: invalid x-api-key"),
            403 => ("permission_error", "stand-in: not allowed"),
            404 => ("not_found_error", "model: stand-in-unknown"),
            413 => ("request_too_large", "stand-in: too large"),
            429 => ("rate_limit_error", "stand-in: rate limited"),
            529 => ("overloaded_error", "Overloaded"),
            _ => ("api_error", "stand-in: internal server error"),
        };
        Self::refuse(Refusal { status, error, message: message.into(), retry_after_seconds: None })
    }

    /// 429 with `retry-after`.
    #[must_use]
    pub fn rate_limited(retry_after_seconds: u32) -> Self {
        Self::refuse(Refusal {
            status: 429,
            error: "rate_limit_error",
            message: "stand-in: rate limited".into(),
            retry_after_seconds: Some(retry_after_seconds),
        })
    }

    /// 400 in the words by which the CLI knows a prompt that is too long.
    #[must_use]
    pub fn prompt_too_long() -> Self {
        Self::refuse(Refusal {
            status: 400,
            error: "invalid_request_error",
            message: "prompt is too long: 250000 tokens > 200000 maximum".into(),
            retry_after_seconds: None,
        })
    }

    /// Takes the request and never says anything.
    #[must_use]
    pub fn silence() -> Self {
        Self { before_head: None, kind: Kind::Silence }
    }

    fn refuse(refusal: Refusal) -> Self {
        Self { before_head: None, kind: Kind::Refusal(refusal) }
    }

    /// Splits the text into `count` deltas of about the same length, never inside a character.
    #[must_use]
    pub fn in_deltas(self, count: usize) -> Self {
        self.with(|message| message.deltas = Some(count))
    }

    /// Waits at the gate before even the HTTP head is sent.
    #[must_use]
    pub fn held_at_head(mut self, gate: &Gate) -> Self {
        self.before_head = Some(gate.clone());
        self
    }

    /// Waits at the gate once `deltas` text deltas were sent; 0 is after `message_start`.
    #[must_use]
    pub fn held_after(self, deltas: usize, gate: &Gate) -> Self {
        self.with(|message| message.gates.push((deltas, gate.clone())))
    }

    /// Ends the connection in the middle once `deltas` text deltas were sent. A gate at the same place lets the caller read
    /// them first: the CLI drops what arrives together with the end of the connection.
    #[must_use]
    pub fn cut_after(self, deltas: usize) -> Self {
        self.with(|message| message.fault = Some((deltas, Fault::Cut)))
    }

    /// Sends an `error` event (overloaded) once `deltas` text deltas were sent.
    #[must_use]
    pub fn error_event_after(self, deltas: usize) -> Self {
        self.with(|message| message.fault = Some((deltas, Fault::ErrorEvent)))
    }

    /// Goes silent for good once `deltas` text deltas were sent.
    #[must_use]
    pub fn hang_after(self, deltas: usize) -> Self {
        self.with(|message| message.fault = Some((deltas, Fault::Hang)))
    }

    /// Thinks this before the text.
    #[must_use]
    pub fn thinking(self, thought: impl Into<String>) -> Self {
        self.with(|message| message.thinking = Some(thought.into()))
    }

    /// Calls a tool after the text; the reply's `stop_reason` is then `tool_use`.
    #[must_use]
    pub fn calling(self, tool: impl Into<String>, input: Value) -> Self {
        self.with(|message| message.tools.push((tool.into(), input)))
    }

    fn with(mut self, change: impl FnOnce(&mut Message)) -> Self {
        match &mut self.kind {
            Kind::Message(message) => change(message),
            other => panic!("only a message can be shaped, this is {other:?}"),
        }
        self
    }
}

impl Message {
    /// The text deltas of the answer to this request.
    pub(super) fn text_deltas(&self, request: &Request) -> Vec<String> {
        let deltas = (self.compose)(request);
        match self.deltas {
            None => deltas,
            Some(count) => split(&deltas.concat(), count),
        }
    }
}

fn split(text: &str, count: usize) -> Vec<String> {
    let characters = text.chars().count();
    let mut rest = text.chars();
    (0..count)
        .map(|index| {
            rest.by_ref().take(characters * (index + 1) / count - characters * index / count).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn splitting_loses_nothing_and_cuts_no_character() {
        for (text, count) in [("", 3), ("aé😀", 2), ("0123456789", 3), ("xy", 5)] {
            let pieces = split(text, count);
            assert_eq!(pieces.len(), count);
            assert_eq!(pieces.concat(), text);
        }
    }
}
