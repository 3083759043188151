//! The user message.

use serde::Serialize;
use uuid::Uuid;

use crate::encode;

/// A user message: one turn. Its text reaches the model verbatim (`client_composed`): no `/command`, no `@file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserMessage<'a> {
    /// Id of the message. The same id again makes no API call **and no `result`**: do not wait for one.
    pub uuid: Uuid,
    /// What the user says.
    pub text: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    session_id: &'a str,
    message: Body<'a>,
    parent_tool_use_id: (),
    uuid: Uuid,
    client_composed: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    content: &'a str,
}

impl UserMessage<'_> {
    /// Appends this message as one line.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let line = Line {
            r#type: "user",
            session_id: "",
            message: Body { role: "user", content: self.text },
            parent_tool_use_id: (),
            uuid: self.uuid,
            client_composed: true,
        };
        encode::line(&line, out);
    }
}
