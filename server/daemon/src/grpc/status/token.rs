//! What goes wrong with tokens.

use claude_comms_model::TokenScope;
use tonic::{Code, Status};

use super::{absent, status};

/// A call that failed for its token, or about one.
#[derive(Debug)]
pub enum TokenFailure {
    /// No token, or a wrong one; says which.
    Required(&'static str),
    /// It was good once.
    Expired,
    /// It is good, but not for this.
    TooNarrow {
        /// The token's.
        scope: TokenScope,
        /// The call's.
        needed: TokenScope,
    },
    /// The name is that of a token that is good.
    NameTaken(String),
    /// There is none of that name.
    NotFound(String),
    /// There are as many as there may be.
    TooMany(usize),
    /// It is the data directory's.
    BuiltIn(&'static str),
}

pub(super) fn of_token(failure: TokenFailure) -> Status {
    match failure {
        TokenFailure::Required(what) => status(
            Code::Unauthenticated,
            "TOKEN_REQUIRED",
            format!(
                "{what}; send `authorization: Bearer TOKEN` with the token of the server's data directory or one of `token create`"
            ),
            &[],
        ),
        TokenFailure::Expired => status(
            Code::Unauthenticated,
            "TOKEN_EXPIRED",
            "the token has expired; ask for a new one (`token create`)".to_owned(),
            &[],
        ),
        TokenFailure::TooNarrow { scope, needed } => {
            let (scope, needed) = (scope.as_str(), needed.as_str());
            status(
                Code::PermissionDenied,
                "SCOPE_TOO_NARROW",
                format!("this call needs a token of scope {needed}; this one's is {scope}"),
                &[("scope", scope.to_owned()), ("needed_scope", needed.to_owned())],
            )
        }
        TokenFailure::NameTaken(name) => status(
            Code::AlreadyExists,
            "TOKEN_NAME_TAKEN",
            format!("a token {name} is good already; revoke it first, or take another name"),
            &[("name", name)],
        ),
        TokenFailure::NotFound(name) => absent("TOKEN_NOT_FOUND", "token", &name),
        TokenFailure::TooMany(limit) => status(
            Code::ResourceExhausted,
            "TOO_MANY_TOKENS",
            format!("{limit} tokens are good already; revoke some"),
            &[("limit", limit.to_string())],
        ),
        TokenFailure::BuiltIn(name) => status(
            Code::FailedPrecondition,
            "TOKEN_BUILT_IN",
            format!(
                "{name} is the token in the server's data directory: to change it, remove that file and restart the server"
            ),
            &[("name", name.to_owned())],
        ),
    }
}
