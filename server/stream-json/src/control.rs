//! The control messages that go in both directions: an answer, and the withdrawal of a request.
//! Which requests exist is known to [`crate::input`] (host to CLI) and [`crate::output`] (CLI to host).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{ParseError, encode, text};

/// `control_response`: the answer to the control request with the same id.
#[derive(Debug, Clone)]
pub struct ControlResponse<'a> {
    /// Id of the request answered.
    pub request_id: Cow<'a, str>,
    /// What was answered.
    pub answer: Answer<'a>,
}

/// The two ways to answer a control request.
#[derive(Debug, Clone)]
pub enum Answer<'a> {
    /// Done; the body is a JSON object, or absent.
    Success(Option<&'a RawValue>),
    /// Refused or failed.
    Error {
        /// Text for people.
        message: Cow<'a, str>,
        /// Text for programs, e.g. `unsupported_request`.
        code: Option<Cow<'a, str>>,
    },
}

/// `control_cancel_request`: the sender no longer wants an answer.
#[derive(Debug, Clone)]
pub struct ControlCancel<'a> {
    /// Id of the withdrawn request.
    pub request_id: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct ResponseLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    response: ResponseBody<'a>,
}

#[derive(Serialize, Deserialize)]
struct ResponseBody<'a> {
    #[serde(borrow, deserialize_with = "text::required")]
    subtype: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text::required")]
    request_id: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    response: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "text::optional", skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text::optional", skip_serializing_if = "Option::is_none")]
    error_code: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct CancelLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow, deserialize_with = "text::required")]
    request_id: Cow<'a, str>,
}

const RESPONSE: &str = "control_response";
const CANCEL: &str = "control_cancel_request";

impl<'a> ControlResponse<'a> {
    pub(crate) fn parse(line: &'a str) -> Result<Self, ParseError> {
        let line: ResponseLine<'a> =
            serde_json::from_str(line).map_err(|error| ParseError::new(RESPONSE, &error))?;
        let body = line.response;
        let answer = match &*body.subtype {
            "success" => Answer::Success(body.response),
            _ => Answer::Error { message: body.error.unwrap_or_default(), code: body.error_code },
        };
        Ok(Self { request_id: body.request_id, answer })
    }

    /// Appends this answer as one line.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let request_id = Cow::Borrowed(&*self.request_id);
        let body = match &self.answer {
            Answer::Success(response) => ResponseBody {
                subtype: "success".into(),
                request_id,
                response: *response,
                error: None,
                error_code: None,
            },
            Answer::Error { message, code } => ResponseBody {
                subtype: "error".into(),
                request_id,
                response: None,
                error: Some(Cow::Borrowed(message)),
                error_code: code.as_deref().map(Cow::Borrowed),
            },
        };
        encode::line(&ResponseLine { kind: RESPONSE, response: body }, out);
    }
}

impl<'a> ControlCancel<'a> {
    pub(crate) fn parse(line: &'a str) -> Result<Self, ParseError> {
        let line: CancelLine<'a> =
            serde_json::from_str(line).map_err(|error| ParseError::new(CANCEL, &error))?;
        Ok(Self { request_id: line.request_id })
    }

    /// Appends this withdrawal as one line.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        encode::line(&CancelLine { kind: CANCEL, request_id: Cow::Borrowed(&self.request_id) }, out);
    }
}
