//! From a `result` to the reason of a failure.

use super::FailureReason;
use crate::output::TurnResult;

/// What became of a turn, before its text is known.
pub(super) enum Verdict {
    Answered,
    Aborted,
    Failed { reason: FailureReason, http_status: Option<u16>, message: String },
}

pub(super) fn judge(result: &TurnResult<'_>) -> Verdict {
    // `aborted_streaming` or `aborted_tools`; with the subtype `success` if a message of priority "now" did it.
    if result.terminal_reason.as_deref().is_some_and(|reason| reason.starts_with("aborted")) {
        return Verdict::Aborted;
    }
    // The error subtypes always carry `is_error`, but nothing is lost by not relying on it.
    if !result.is_error && result.subtype == "success" {
        return Verdict::Answered;
    }
    let message = match (&result.result, &result.errors) {
        (Some(text), _) if !text.is_empty() => text.clone().into_owned(),
        (_, Some(errors)) if !errors.is_empty() => errors.join("\n"),
        _ => result.subtype.clone().into_owned(),
    };
    let http_status = result.api_error_status;
    let reason = match &*result.subtype {
        "error_max_turns" => FailureReason::MaxTurns,
        "error_max_budget_usd" => FailureReason::BudgetExceeded,
        _ => match http_status {
            Some(status) => by_status(status, &message),
            None => by_message(&message),
        },
    };
    Verdict::Failed { reason, http_status, message }
}

pub(crate) fn by_status(status: u16, message: &str) -> FailureReason {
    match status {
        401 => FailureReason::ApiAuthentication,
        403 => FailureReason::ApiPermission,
        404 => FailureReason::ModelNotFound,
        408 => FailureReason::ApiTimeout,
        413 => FailureReason::PromptTooLong,
        429 => FailureReason::RateLimited,
        529 => FailureReason::ApiOverloaded,
        500.. => FailureReason::ApiServerError,
        // Some failures in the middle of a stream carry the status of the stream, 200.
        400..500 if is_too_long(message) => FailureReason::PromptTooLong,
        400..500 => FailureReason::ApiInvalidRequest,
        _ => by_message(message),
    }
}

/// Only for failures without a status: there the text is all there is (CLI 2.1.330, `tests/recorded`).
pub(crate) fn by_message(message: &str) -> FailureReason {
    let lower = message.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
    if has(&["not logged in", "please run /login"]) {
        FailureReason::NotLoggedIn
    } else if has(&["no conversation found with session id"]) {
        FailureReason::SessionNotFound
    } else if is_too_long(&lower) {
        FailureReason::PromptTooLong
    } else if has(&["request timed out", "etimedout"]) {
        FailureReason::ApiTimeout
    } else if has(&["api error: overloaded"]) {
        FailureReason::ApiOverloaded
    } else if has(&[
        "econnrefused",
        "econnreset",
        "enotfound",
        "eai_again",
        "connection refused",
        "connection error",
        "unable to connect",
    ]) {
        FailureReason::ApiUnreachable
    } else {
        FailureReason::ExecutionError
    }
}

fn is_too_long(message: &str) -> bool {
    message.to_ascii_lowercase().contains("prompt is too long")
}
