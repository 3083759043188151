//! How a command ends: its exit code, and what is said on standard error. The one place that maps errors to codes.

use std::{io, process::ExitCode};

use claude_comms_client::{Endpoint, EndpointError, Error};

use crate::{output::Ui, suggest::command};

/// The exit codes of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, also for an empty list.
    Done = 0,
    /// The request, or the turn it was about, failed.
    Failed = 1,
    /// What was typed makes no sense.
    Usage = 2,
    /// No server there, or it is draining.
    NoServer = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// Refused for now: queue full, budget, rate.
    Refused = 5,
    /// Not permitted, or no token.
    NotPermitted = 6,
    /// `--timeout` passed.
    TimedOut = 124,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong, in one line where possible; empty says nothing.
    pub(crate) message: String,
    /// More of it, a line each.
    pub(crate) lines: Vec<String>,
    /// How to mend it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), lines: Vec::new(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, ui: &Ui) -> ExitCode {
        if !self.message.is_empty() {
            ui.error(&self.message);
        }
        for line in &self.lines {
            ui.error_line(line);
        }
        if let Some(hint) = &self.hint {
            ui.hint(hint);
        }
        self.exit.into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = judge(&error);
        let mut failure = Self::new(exit, described(&error));
        // The server's message holds the one bad field; several read better a line each.
        if let Error::InvalidArgument { violations, .. } = &error
            && violations.len() > 1
        {
            failure.message = format!("{} fields of the request are wrong", violations.len());
            failure.lines = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        }
        failure.hint = hint;
        failure
    }
}

/// The error with its causes, the server's reason first.
fn described(error: &Error) -> String {
    let text = chain(error);
    match error.reason() {
        Some(reason) if !text.starts_with(reason) => format!("{reason}: {text}"),
        _ => text,
    }
}

/// An error with its causes. A cause that is already in the text is not said twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The code and the remedy of each error.
fn judge(error: &Error) -> (Exit, Option<String>) {
    match error {
        Error::NoServer { endpoint, .. } => (Exit::NoServer, Some(how_to_start(endpoint))),
        Error::Draining(_) => {
            (Exit::NoServer, Some("it is shutting down; start one again with: claude-comms serve".into()))
        }
        Error::Unavailable(detail) if detail.reason == "NOT_GRPC" => {
            (Exit::NoServer, Some("what answers there is not claude-comms".into()))
        }
        Error::Unavailable(detail) if detail.reason == "TLS_UNTRUSTED" => (
            Exit::NoServer,
            Some("give the authority of its certificate with --tls-ca FILE or CLAUDE_COMMS_TLS_CA".into()),
        ),
        Error::Unavailable(detail) if detail.reason.starts_with("TLS_") => (Exit::NoServer, None),
        Error::Unavailable(_) | Error::WatchLost { .. } => {
            (Exit::NoServer, Some(format!("see whether it runs: {}", command("status"))))
        }
        Error::TurnLost { turn_id, .. } => (
            Exit::NoServer,
            Some(format!(
                "if the server still runs, the turn goes on: {}",
                command(&format!("wait-turn --id {turn_id}"))
            )),
        ),
        Error::NotFound(_) => (Exit::NotFound, None),
        Error::InvalidArgument { .. } | Error::Endpoint(EndpointError::NoDefault) => (Exit::Usage, None),
        Error::Endpoint(_) => {
            (Exit::Usage, Some("the endpoint comes from --server, else from CLAUDE_COMMS_SERVER".into()))
        }
        Error::QueueFull(_) | Error::ResourceExhausted(_) => {
            let hint = error.retry_after().map(|after| {
                format!(
                    "try again in {}",
                    humantime::format_duration(after.max(std::time::Duration::from_secs(1)))
                )
            });
            (Exit::Refused, hint)
        }
        Error::Unauthenticated(_) | Error::Token(_) => (
            Exit::NotPermitted,
            Some(
                "give a token with --token-file FILE or CLAUDE_COMMS_TOKEN; \
                the server keeps one in the file `token` of its data directory"
                    .into(),
            ),
        ),
        Error::PermissionDenied(detail) if detail.reason == "SCOPE_TOO_NARROW" => {
            let scope = detail.metadata.get("needed_scope").map_or("admin", String::as_str);
            (
                Exit::NotPermitted,
                Some(format!(
                    "a token of that scope is made with: claude-comms token create NAME --scope {scope}"
                )),
            )
        }
        Error::PermissionDenied(detail) if detail.reason.starts_with("TLS_") => (
            Exit::NotPermitted,
            Some("give one of an authority that the server knows with --tls-cert FILE and --tls-key FILE".into()),
        ),
        Error::PermissionDenied(_) => {
            (Exit::NotPermitted, Some("the socket belongs to the user that runs the server".into()))
        }
        Error::DataLoss(_) => {
            (Exit::Failed, Some("the server's store is damaged: see the server's log".into()))
        }
        Error::Unimplemented(_) => {
            (Exit::Failed, Some(format!("the server is older than this program: see {}", command("status"))))
        }
        Error::Tls(_) => {
            (Exit::Usage, Some("the files come from --tls-ca, --tls-cert and --tls-key, else from CLAUDE_COMMS_TLS_CA, _CERT and _KEY".into()))
        }
        // The client's error type may grow; what is new is a failure until it has a line here.
        _ => (Exit::Failed, None),
    }
}

fn how_to_start(endpoint: &str) -> String {
    let remote = |found: Endpoint| !matches!(found, Endpoint::Unix(_)) && !found.is_loopback_tcp();
    if endpoint.parse().is_ok_and(remote) {
        return "see whether it runs there and can be reached".into();
    }
    let default = claude_comms_client::Environment::of_process();
    // Only the user's own choice has to be repeated to the server.
    let chosen = default.endpoint().is_ok_and(|found| found.to_string() != endpoint)
        || std::env::var_os("CLAUDE_COMMS_SERVER").is_some_and(|value| !value.is_empty());
    if chosen {
        format!("start one with: claude-comms serve --listen {endpoint}")
    } else {
        "start one with: claude-comms serve".into()
    }
}

impl From<io::Error> for Failure {
    /// Failures of writing to standard output. A reader that has had enough, as `head`, is no failure.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::new(Exit::Failed, format!("write to standard output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use claude_comms_client::{Client, Code, Detail, v1};

    use super::*;

    fn endpoint_error(text: &str) -> Failure {
        Client::builder().endpoint(text).build().expect_err("no endpoint").into()
    }

    #[test]
    fn every_error_has_its_exit_code() {
        let detail = || Detail::new(Code::Unknown, "REASON", "words");
        for (error, exit) in [
            (Error::Draining(detail()), Exit::NoServer),
            (Error::Unavailable(detail()), Exit::NoServer),
            (Error::NotFound(detail()), Exit::NotFound),
            (Error::InvalidArgument { detail: detail(), violations: Vec::new() }, Exit::Usage),
            (Error::AlreadyExists(detail()), Exit::Failed),
            (Error::FailedPrecondition(detail()), Exit::Failed),
            (Error::QueueFull(detail()), Exit::Refused),
            (Error::ResourceExhausted(detail()), Exit::Refused),
            (Error::Unauthenticated(detail()), Exit::NotPermitted),
            (Error::PermissionDenied(detail()), Exit::NotPermitted),
            (Error::DeadlineExceeded(detail()), Exit::Failed),
            (Error::DataLoss(detail()), Exit::Failed),
            (Error::Unimplemented(detail()), Exit::Failed),
            (Error::Internal(detail()), Exit::Failed),
        ] {
            let failure = Failure::from(error);
            assert_eq!((failure.exit, failure.message.as_str()), (exit, "REASON: words"));
        }
        let lost = Error::TurnLost {
            turn_id: "t".into(),
            waited: std::time::Duration::from_secs(60),
            source: Box::new(Error::Unavailable(detail())),
        };
        assert_eq!(Failure::from(lost).exit, Exit::NoServer);
        assert_eq!(Failure::from(Error::Protocol("words".into())).exit, Exit::Failed);
    }

    #[test]
    fn what_was_typed_wrong_is_usage() {
        assert_eq!(endpoint_error("nonsense").exit, Exit::Usage);
        assert_eq!(endpoint_error("https://host").exit, Exit::Usage);
        let error = Client::builder().endpoint("https://host:1").tls_ca("/nonexistent/ca.pem").build();
        assert_eq!(Failure::from(error.expect_err("no file")).exit, Exit::Usage);
    }

    #[test]
    fn a_missing_token_file_is_no_permission_and_says_how_to_give_one() {
        let error = Client::builder()
            .endpoint("unix:/x")
            .token_file("/nonexistent/token")
            .build()
            .expect_err("token");
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::NotPermitted);
        assert!(failure.message.contains("/nonexistent/token: No such file"), "{}", failure.message);
        assert!(failure.hint.expect("hint").contains("--token-file"));
    }

    #[test]
    fn a_missing_server_says_how_to_start_one_there() {
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let failure = Failure::from(Error::NoServer { endpoint: "http://127.0.0.1:9".into(), source });
        assert_eq!(failure.exit, Exit::NoServer);
        assert_eq!(
            failure.hint.as_deref(),
            Some("start one with: claude-comms serve --listen http://127.0.0.1:9")
        );
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let failure = Failure::from(Error::NoServer { endpoint: "http://192.0.2.1:9".into(), source });
        assert_eq!(failure.hint.as_deref(), Some("see whether it runs there and can be reached"));
    }

    #[test]
    fn a_failed_turn_is_a_failed_request() {
        let failure = v1::TurnFailure { reason: "API_OVERLOADED".into(), message: "overloaded".into() };
        let turn = Box::new(v1::Turn { failure: Some(failure), ..Default::default() });
        let failure = Failure::from(Error::TurnFailed { turn });
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, "API_OVERLOADED: overloaded"));
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Done, ""));
    }
}
