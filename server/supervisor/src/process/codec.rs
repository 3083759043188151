//! From a process's stdout bytes to updates, and the answers the CLI itself waits for.

use claude_comms_stream_json::{
    control::{Answer, ControlResponse},
    framing::{LineSplitter, is_message},
    output::{ControlRequest, InitializeResponse, Output, RequestBody, StatusResponse, parse_bytes},
    turn::{Stray, TurnReader, TurnUpdate},
};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Request id of the one `initialize`.
pub(super) const INITIALIZE: &str = "initialize";
/// Request ids of `get_status` are this and a number.
pub(super) const STATUS: &str = "status-";

#[derive(Debug)]
pub(super) struct Codec {
    lines: LineSplitter,
    reader: TurnReader,
}

/// What one read gave.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) updates: Vec<TurnUpdate>,
    /// Lines to write back.
    pub(super) replies: Vec<u8>,
    /// `initialize` was answered, or refused with this message.
    pub(super) initialized: Option<Result<InitializeResponse, String>>,
    /// `get_status` was answered: the newest answer's number, and what it said if it could be read.
    pub(super) status: Option<(u64, Option<StatusResponse>)>,
    /// Lines that were no answers to requests of ours: the process works.
    pub(super) is_working: bool,
    /// What no turn can have caused.
    pub(super) stray: Option<Stray>,
}

impl Codec {
    pub(super) fn new(line_limit_bytes: usize) -> Self {
        Self { lines: LineSplitter::new(line_limit_bytes), reader: TurnReader::new() }
    }

    pub(super) fn begin(&mut self, turn: Uuid) {
        self.reader.begin(turn);
    }

    pub(super) fn space(&mut self) -> &mut [u8] {
        self.lines.space()
    }

    /// Decodes all lines that are complete with the `count` bytes just read into [`space`](Self::space).
    ///
    /// # Errors
    /// How the process broke the protocol; what came before that is in `decoded`. The text quotes
    /// nothing of the line, which may be a prompt.
    pub(super) fn decode(&mut self, count: usize, decoded: &mut Decoded) -> Result<(), String> {
        self.lines.advance(count);
        while let Some(line) = self.lines.next_line() {
            let line = line.map_err(|error| format!("stdout: {error}"))?;
            if !is_message(line) {
                continue;
            }
            // A message that cannot be read may be the one a turn waits for: better to end with a reason.
            let output = parse_bytes(line).map_err(|error| format!("stdout: {error}"))?;
            match &output {
                Output::ControlRequest(request) => refuse(request, &mut decoded.replies),
                Output::ControlResponse(response) if response.request_id == INITIALIZE => {
                    decoded.initialized = Some(initialize_answer(response)?);
                }
                Output::ControlResponse(response) if response.request_id.starts_with(STATUS) => {
                    decoded.status = status_answer(response);
                }
                Output::ControlResponse(_) => {}
                _ => {
                    decoded.is_working = true;
                    self.reader.read(&output, &mut decoded.updates);
                }
            }
        }
        decoded.stray = self.reader.take_stray();
        Ok(())
    }
}

fn initialize_answer(response: &ControlResponse<'_>) -> Result<Result<InitializeResponse, String>, String> {
    Ok(match &response.answer {
        Answer::Success(Some(body)) => {
            Ok(InitializeResponse::parse(body).map_err(|error| format!("stdout: {error}"))?)
        }
        Answer::Success(None) => Ok(InitializeResponse::default()),
        Answer::Error { message, .. } => Err(message.clone().into_owned()),
    })
}

/// An older CLI refuses the request, a later one may say other things: both are alive, which is what was asked.
fn status_answer(response: &ControlResponse<'_>) -> Option<(u64, Option<StatusResponse>)> {
    let number = response.request_id.strip_prefix(STATUS)?.parse().ok()?;
    let body = match &response.answer {
        Answer::Success(Some(body)) => StatusResponse::parse(body).ok(),
        Answer::Success(None) | Answer::Error { .. } => None,
    };
    Some((number, body))
}

/// A request left unanswered would hang the turn. None is supported: tools are allowed at launch or not
/// at all.
fn refuse(request: &ControlRequest<'_>, replies: &mut Vec<u8>) {
    let denial = RawValue::from_string(
        r#"{"behavior":"deny","message":"this tool is not allowed here, and nobody can be asked"}"#
            .to_owned(),
    )
    .expect("the denial is JSON");
    let answer = match &request.body {
        RequestBody::CanUseTool { .. } => Answer::Success(Some(&denial)),
        _ => Answer::Error {
            message: "this host does not support the request".into(),
            code: Some("unsupported_request".into()),
        },
    };
    ControlResponse { request_id: request.request_id.clone(), answer }.write_line(replies);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(lines: &[u8]) -> (Decoded, Result<(), String>) {
        let mut codec = Codec::new(1000);
        let mut decoded = Decoded::default();
        codec.space()[..lines.len()].copy_from_slice(lines);
        let result = codec.decode(lines.len(), &mut decoded);
        (decoded, result)
    }

    #[test]
    fn what_is_no_message_or_unknown_is_ignored() {
        let (decoded, result) = decode(b"warning: x\n\ncaf\xE9\n{\"type\":\"from_the_future\",\"x\":[1]}\n{\"type\":\"system\",\"subtype\":\"new\"}\n");
        result.unwrap();
        assert!(decoded.updates.is_empty() && decoded.replies.is_empty(), "{decoded:?}");
    }

    #[test]
    fn a_line_that_cannot_be_read_breaks_the_protocol_without_being_quoted() {
        let long = format!("{{\"type\":\"{}\"}}\n", "secret".repeat(300));
        for (bad, why) in [
            (&b"{\"type\":\"\xE9\"}\n"[..], "not utf-8"),
            (b"{\"type\":\"secret\n", "not a json object"),
            (long.as_bytes(), "limit of 1000 bytes"),
        ] {
            let (_, result) = decode(bad);
            let message = result.unwrap_err();
            assert!(message.contains(why) && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn the_cli_s_own_requests_are_refused_and_tools_denied() {
        let (decoded, result) = decode(
            b"{\"type\":\"control_request\",\"request_id\":\"a\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"t\",\"input\":{}}}\n\
              {\"type\":\"control_request\",\"request_id\":\"b\",\"request\":{\"subtype\":\"mcp_message\",\"server_name\":\"s\",\"message\":{}}}\n\
              {\"type\":\"control_request\",\"request_id\":\"c\",\"request\":{\"subtype\":\"from_the_future\"}}\n",
        );
        result.unwrap();
        let replies = String::from_utf8(decoded.replies).unwrap();
        let lines: Vec<&str> = replies.lines().collect();
        assert_eq!(lines.len(), 3, "{replies}");
        assert!(
            lines[0].contains(r#""request_id":"a""#) && lines[0].contains(r#""behavior":"deny""#),
            "{replies}"
        );
        for (line, id) in lines[1..].iter().zip(["b", "c"]) {
            assert!(
                line.contains(&format!(r#""request_id":"{id}""#)) && line.contains("unsupported_request"),
                "{line}"
            );
        }
    }

    #[test]
    fn the_answer_to_initialize_names_the_process() {
        let (decoded, result) = decode(
            b"{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"initialize\",\"response\":{\"pid\":7,\"claude_code_version\":\"2.1.330\"}}}\n",
        );
        result.unwrap();
        let answer = decoded.initialized.unwrap().unwrap();
        assert_eq!((answer.pid, answer.claude_code_version.as_deref()), (Some(7), Some("2.1.330")));
    }
}
