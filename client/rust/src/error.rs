//! What can go wrong, typed by the reason and code that the server sends. Knows how to read a status; decides nothing
//! about trying again (see `transport`).

use std::{collections::BTreeMap, fmt, io, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{EndpointError, TlsError, TokenError, tls::Problem, transport, v1};

/// What the server said about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detail {
    /// gRPC code.
    pub code: Code,
    /// Stable UPPER_SNAKE reason (`ErrorInfo.reason`); empty where the server gave none.
    pub reason: String,
    /// The same in words.
    pub message: String,
    /// What belongs to the reason, such as the name that is taken (`ErrorInfo.metadata`).
    pub metadata: BTreeMap<String, String>,
    /// When it may be worth trying again (`RetryInfo`).
    pub retry_after: Option<Duration>,
}

/// One field of a request that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// Path of the field in the request, as in the proto.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Why a call failed. A turn that ended without an answer is no error of the call: see [`crate::Answer`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens at the endpoint.
    #[error("no server at {endpoint}")]
    NoServer {
        /// The endpoint.
        endpoint: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The server is shutting down and takes nothing new.
    #[error("{0}")]
    Draining(Detail),
    /// The connection broke, or the server cannot serve now.
    #[error("{0}")]
    Unavailable(Detail),
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(Detail),
    /// The request is malformed; every bad field is listed.
    #[error("{detail}")]
    InvalidArgument {
        /// What the server said.
        detail: Detail,
        /// Every bad field.
        violations: Vec<FieldViolation>,
    },
    /// The name is taken, or the `request_id` was used with another payload.
    #[error("{0}")]
    AlreadyExists(Detail),
    /// What was named is in another state than the call needs.
    #[error("{0}")]
    FailedPrecondition(Detail),
    /// Too many turns wait; `retry_after` says when to come back.
    #[error("{0}")]
    QueueFull(Detail),
    /// Another limit was reached: slots, budget, rate, size.
    #[error("{0}")]
    ResourceExhausted(Detail),
    /// No token, or a wrong one.
    #[error("{0}")]
    Unauthenticated(Detail),
    /// The token, or the user of this process, may not do this.
    #[error("{0}")]
    PermissionDenied(Detail),
    /// The call's own deadline passed.
    #[error("{0}")]
    DeadlineExceeded(Detail),
    /// The server's store is damaged.
    #[error("{0}")]
    DataLoss(Detail),
    /// The server does not know the call: it is older than this client.
    #[error("{0}")]
    Unimplemented(Detail),
    /// A defect of the server, or a code without a variant of its own.
    #[error("{0}")]
    Internal(Detail),
    /// The stream of an accepted turn could not be taken up again in time. If the server still runs, the turn goes on.
    #[error("lost the server for {} s while turn {turn_id} was watched", waited.as_secs())]
    TurnLost {
        /// The turn; it can be watched again.
        turn_id: String,
        /// How long the client tried.
        waited: Duration,
        /// The last failure.
        #[source]
        source: Box<Error>,
    },
    /// A watch could not be taken up again in time. Nothing but the watch has ended.
    #[error("lost the server for {} s while {watched} was watched", waited.as_secs())]
    WatchLost {
        /// What was watched, as in `conversation 0197...`.
        watched: String,
        /// How long the client tried.
        waited: Duration,
        /// The last failure.
        #[source]
        source: Box<Error>,
    },
    /// A turn ended without an answer; only [`crate::Answer::into_result`] makes this of it.
    #[error("{}", describe(turn))]
    TurnFailed {
        /// Its terminal record; `failure` says why.
        turn: Box<v1::Turn>,
    },
    /// The server's stream broke the contract.
    #[error("{0}")]
    Protocol(String),
    /// The endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// TLS cannot be spoken with what was given.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { write!(f, "{}", self.code) } else { f.write_str(&self.message) }
    }
}

impl std::error::Error for Detail {}

fn describe(turn: &v1::Turn) -> String {
    match &turn.failure {
        Some(failure) => format!("{}: {}", failure.reason, failure.message),
        None => format!("turn {} has no answer: {}", turn.id, turn.state().as_str_name()),
    }
}

impl Error {
    /// What the server said, where it was the server that said it.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Draining(detail)
            | Self::Unavailable(detail)
            | Self::NotFound(detail)
            | Self::InvalidArgument { detail, .. }
            | Self::AlreadyExists(detail)
            | Self::FailedPrecondition(detail)
            | Self::QueueFull(detail)
            | Self::ResourceExhausted(detail)
            | Self::Unauthenticated(detail)
            | Self::PermissionDenied(detail)
            | Self::DeadlineExceeded(detail)
            | Self::DataLoss(detail)
            | Self::Unimplemented(detail)
            | Self::Internal(detail) => Some(detail),
            Self::TurnLost { source, .. } | Self::WatchLost { source, .. } => source.detail(),
            Self::NoServer { .. }
            | Self::TurnFailed { .. }
            | Self::Protocol(_)
            | Self::Endpoint(_)
            | Self::Token(_)
            | Self::Tls(_) => None,
        }
    }

    /// The stable UPPER_SNAKE reason: the server's, or that of the turn's failure.
    pub fn reason(&self) -> Option<&str> {
        let reason = match self {
            Self::TurnFailed { turn } => turn.failure.as_ref().map(|failure| failure.reason.as_str()),
            other => other.detail().map(|detail| detail.reason.as_str()),
        };
        reason.filter(|reason| !reason.is_empty())
    }

    /// When it may be worth trying again, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.detail().and_then(|detail| detail.retry_after)
    }

    /// Reads a status that a call to `endpoint` ended with.
    pub(crate) fn from_status(status: &Status, endpoint: &str) -> Self {
        if let Some(problem) = crate::tls::problem(status) {
            return Self::of_tls(problem, endpoint);
        }
        if let transport::Trouble::NotConnected(source) = transport::trouble(status) {
            if source.kind() == io::ErrorKind::PermissionDenied {
                let message = format!("this user may not connect to {endpoint}");
                return Self::PermissionDenied(Detail::new(
                    Code::PermissionDenied,
                    "NOT_YOUR_SOCKET",
                    message,
                ));
            }
            return Self::NoServer { endpoint: endpoint.into(), source };
        }
        let details = status.get_error_details();
        let detail = Detail {
            code: status.code(),
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: details
                .error_info()
                .map(|info| info.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        };
        match status.code() {
            _ if transport::is_foreign(status) => Self::Unavailable(Detail {
                reason: "NOT_GRPC".into(),
                message: format!("what answers at {endpoint} does not speak gRPC"),
                ..detail
            }),
            Code::NotFound => Self::NotFound(detail),
            Code::InvalidArgument | Code::OutOfRange => Self::InvalidArgument {
                detail,
                violations: details.bad_request().map_or_else(Vec::new, |bad| {
                    bad.field_violations
                        .iter()
                        .map(|violation| FieldViolation {
                            field: violation.field.clone(),
                            description: violation.description.clone(),
                        })
                        .collect()
                }),
            },
            Code::AlreadyExists => Self::AlreadyExists(detail),
            Code::FailedPrecondition => Self::FailedPrecondition(detail),
            Code::ResourceExhausted if detail.reason == "QUEUE_FULL" => Self::QueueFull(detail),
            Code::ResourceExhausted => Self::ResourceExhausted(detail),
            Code::Unavailable if detail.reason.contains("DRAINING") => Self::Draining(detail),
            Code::Unavailable => Self::Unavailable(detail),
            _ if transport::is_broken(status) => Self::Unavailable(Detail {
                message: format!("the connection to {endpoint} broke: {}", detail.message),
                ..detail
            }),
            Code::Unauthenticated => Self::Unauthenticated(detail),
            Code::PermissionDenied => Self::PermissionDenied(detail),
            Code::DeadlineExceeded => Self::DeadlineExceeded(detail),
            Code::DataLoss => Self::DataLoss(detail),
            Code::Unimplemented => Self::Unimplemented(detail),
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal => {
                Self::Internal(detail)
            }
        }
    }

    /// What TLS has against a connection. The reasons are this client's own, as no server could be asked.
    fn of_tls(problem: Problem, endpoint: &str) -> Self {
        let unavailable = |reason: &str, message: String| {
            Self::Unavailable(Detail::new(Code::Unavailable, reason, message))
        };
        let denied = |reason: &str, message: String| {
            Self::PermissionDenied(Detail::new(Code::PermissionDenied, reason, message))
        };
        match problem {
            Problem::Required => {
                unavailable("TLS_REQUIRED", format!("{endpoint} speaks TLS alone; use https://"))
            }
            Problem::NotSpoken => {
                unavailable("TLS_NOT_SPOKEN", format!("{endpoint} does not speak TLS; it may be http://"))
            }
            Problem::Untrusted(why) => {
                unavailable("TLS_UNTRUSTED", format!("the certificate of {endpoint} is not trusted: {why}"))
            }
            Problem::CertificateWanted => {
                denied("TLS_CERTIFICATE_REQUIRED", format!("{endpoint} wants a client certificate"))
            }
            Problem::CertificateRefused(alert) => denied(
                "TLS_CERTIFICATE_REFUSED",
                format!("{endpoint} does not take our certificate ({alert})"),
            ),
            Problem::Failed(why) => unavailable("TLS_FAILED", format!("TLS with {endpoint} failed: {why}")),
        }
    }
}

impl Detail {
    /// What a server would have said; for the tests of those who handle errors.
    pub fn new(code: Code, reason: impl Into<String>, message: impl Into<String>) -> Self {
        let metadata = BTreeMap::new();
        Self { code, reason: reason.into(), message: message.into(), metadata, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn error(code: Code, reason: &str) -> Error {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, "claude-comms", HashMap::from([("id".to_owned(), "7".to_owned())]));
        details.set_retry_info(Some(Duration::from_millis(1500)));
        details.add_bad_request_violation("prompt", "must not be empty");
        Error::from_status(&Status::with_error_details(code, "words", details), "unix:/x")
    }

    #[test]
    fn every_code_has_its_variant_and_keeps_what_the_server_said() {
        type Case = (Code, &'static str, fn(&Error) -> bool);
        let variants: [Case; 14] = [
            (Code::NotFound, "R", |e| matches!(e, Error::NotFound(_))),
            (Code::InvalidArgument, "R", |e| matches!(e, Error::InvalidArgument { .. })),
            (Code::AlreadyExists, "R", |e| matches!(e, Error::AlreadyExists(_))),
            (Code::FailedPrecondition, "R", |e| matches!(e, Error::FailedPrecondition(_))),
            (Code::ResourceExhausted, "QUEUE_FULL", |e| matches!(e, Error::QueueFull(_))),
            (Code::ResourceExhausted, "R", |e| matches!(e, Error::ResourceExhausted(_))),
            (Code::Unavailable, "SERVER_DRAINING", |e| matches!(e, Error::Draining(_))),
            (Code::Unavailable, "R", |e| matches!(e, Error::Unavailable(_))),
            (Code::Unauthenticated, "R", |e| matches!(e, Error::Unauthenticated(_))),
            (Code::PermissionDenied, "R", |e| matches!(e, Error::PermissionDenied(_))),
            (Code::DeadlineExceeded, "R", |e| matches!(e, Error::DeadlineExceeded(_))),
            (Code::DataLoss, "R", |e| matches!(e, Error::DataLoss(_))),
            (Code::Unimplemented, "R", |e| matches!(e, Error::Unimplemented(_))),
            (Code::Internal, "R", |e| matches!(e, Error::Internal(_))),
        ];
        for (code, reason, is) in variants {
            let error = error(code, reason);
            assert!(is(&error), "{code:?} {reason}: {error:?}");
            assert_eq!(error.reason(), Some(reason));
            assert_eq!(error.to_string(), "words");
            assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
            assert_eq!(error.detail().expect("detail").metadata["id"], "7");
        }
    }

    #[test]
    fn a_socket_of_another_user_is_not_a_missing_server() {
        let connect = |kind: io::ErrorKind| {
            let error = tonic::ConnectError(Box::new(io::Error::from(kind)));
            Error::from_status(&Status::from_error(Box::new(error)), "unix:/x")
        };
        assert!(matches!(connect(io::ErrorKind::PermissionDenied), Error::PermissionDenied(_)));
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused] {
            let error = connect(kind);
            assert!(matches!(&error, Error::NoServer { source, .. } if source.kind() == kind), "{error:?}");
        }
    }

    #[test]
    fn every_bad_field_is_listed() {
        let Error::InvalidArgument { violations, .. } = error(Code::InvalidArgument, "INVALID_ARGUMENT")
        else {
            panic!("not the variant of bad input");
        };
        assert_eq!(violations.len(), 1);
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("prompt", "must not be empty")
        );
    }
}
