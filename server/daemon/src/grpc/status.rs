//! The one place where errors become statuses: every variant by name, no catch-all, each with a stable `ErrorInfo` reason.

mod token;

use claude_comms_model::{ConversationId, TurnId};
use claude_comms_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::{
    backend::chain,
    dispatcher::{Held, Refused},
    live::Detached,
    modules::{Modules, RegisterError, did_you_mean},
    query::QueryError,
};

pub use self::token::TokenFailure;

/// Domain of every `ErrorInfo` of this server.
pub const DOMAIN: &str = "claude-comms";

/// A status travels in HTTP/2 trailers, of which most clients take 16 KiB, percent- and base64-encoded: its parts are
/// bounded so that it always arrives.
const MESSAGE_BYTES: usize = 2 << 10;
const METADATA_BYTES: usize = 200;
const VIOLATIONS: usize = 12;

/// A call that failed.
#[derive(Debug)]
pub enum ApiError {
    /// Fields that cannot be used; all of them.
    BadFields(Vec<(String, String)>),
    /// There is no such conversation.
    NoConversation(ConversationId),
    /// There is no such turn.
    NoTurn(TurnId),
    /// The turn has ended and cannot be cancelled.
    TurnEnded(TurnId, &'static str),
    /// There is no such module; what it might be.
    NoModule {
        /// The name.
        name: String,
        /// Near matches, in words.
        hint: String,
    },
    /// The module has no such version.
    NoModuleVersion(String, String),
    /// The registered module has a higher version.
    VersionLower {
        /// The module.
        name: String,
        /// Its registered version.
        version: String,
        /// What to do about it.
        problem: String,
    },
    /// The registered module is not the one that was expected.
    ModuleChanged {
        /// The module.
        name: String,
        /// The digest of the registered one.
        digest: String,
        /// What to do about it.
        problem: String,
    },
    /// No such module is registered.
    ModuleNotRegistered {
        /// The name.
        name: String,
        /// What is there instead.
        problem: String,
    },
    /// A module or a template cannot be used as it is.
    ContextUnusable(String),
    /// The context cannot be made small enough.
    BudgetTooSmall(String),
    /// The conversation is not one with modules.
    NoContext(ConversationId),
    /// A turn of the conversation has not ended.
    ConversationBusy(ConversationId),
    /// The dispatcher refused.
    Refused(Refused),
    /// The store failed.
    Store(StoreError),
    /// This server let go of the turn.
    Detached(Detached),
    /// The request is larger than the server takes.
    TooLarge {
        /// Longest prompt.
        limit_bytes: usize,
    },
    /// Tokens.
    Token(TokenFailure),
    /// The peer is another user.
    OtherUser,
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        let problem = error.to_string();
        match error {
            RegisterError::Fields(fields) => Self::BadFields(fields),
            RegisterError::Lower { current, .. } => {
                Self::VersionLower { name: current.name, version: current.version, problem }
            }
            RegisterError::Changed(current) => {
                Self::ModuleChanged { name: current.name, digest: current.digest, problem }
            }
            RegisterError::NotRegistered(name, _) => Self::ModuleNotRegistered { name, problem },
            RegisterError::Store(error) => Self::Store(error),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Fields(fields) => Self::BadFields(fields),
            QueryError::UnknownModule { name, hint } => Self::NoModule { name, hint },
            QueryError::NoConversation(id) => Self::NoConversation(id),
            QueryError::Changed => Self::Refused(Refused::ContextChanged),
            QueryError::Store(error) => Self::Store(error),
            QueryError::Unusable(problem) => Self::ContextUnusable(problem),
            QueryError::Budget(problem) => Self::BudgetTooSmall(problem),
        }
    }
}

impl ApiError {
    /// There is no module of that name, but perhaps near ones.
    pub(crate) fn no_module(modules: &Modules, name: &str) -> Self {
        Self::NoModule { name: name.to_owned(), hint: did_you_mean(&modules.registry(), name) }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Detached> for ApiError {
    fn from(why: Detached) -> Self {
        Self::Detached(why)
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::BadFields(fields) => bad_fields(fields),
            ApiError::NoConversation(id) => absent("CONVERSATION_NOT_FOUND", "conversation", &id.to_string()),
            ApiError::NoTurn(id) => absent("TURN_NOT_FOUND", "turn", &id.to_string()),
            ApiError::TurnEnded(id, state) => status(
                Code::FailedPrecondition,
                "TURN_ALREADY_ENDED",
                format!("turn {id} has already ended as {state}"),
                &[("turn_id", id.to_string()), ("state", state.to_owned())],
            ),
            ApiError::NoModule { name, hint } => status(
                Code::NotFound,
                "MODULE_NOT_FOUND",
                format!("there is no module {name}{hint}"),
                &[("id", name)],
            ),
            ApiError::NoModuleVersion(name, version) => status(
                Code::NotFound,
                "MODULE_VERSION_NOT_FOUND",
                format!(
                    "no version {version} of module {name} is kept; show-module {name} lists those that are"
                ),
                &[("id", name), ("version", version)],
            ),
            ApiError::VersionLower { name, version, problem } => status(
                Code::FailedPrecondition,
                "MODULE_VERSION_LOWER",
                problem,
                &[("name", name), ("version", version)],
            ),
            ApiError::ModuleChanged { name, digest, problem } => {
                status(Code::Aborted, "MODULE_CHANGED", problem, &[("name", name), ("digest", digest)])
            }
            ApiError::ModuleNotRegistered { name, problem } => {
                status(Code::NotFound, "MODULE_NOT_REGISTERED", problem, &[("id", name)])
            }
            ApiError::ContextUnusable(problem) => {
                status(Code::FailedPrecondition, "CONTEXT_UNUSABLE", problem, &[])
            }
            ApiError::BudgetTooSmall(problem) => {
                status(Code::InvalidArgument, "TOKEN_BUDGET_TOO_SMALL", problem, &[])
            }
            ApiError::NoContext(id) => status(
                Code::FailedPrecondition,
                "CONVERSATION_WITHOUT_MODULES",
                format!("conversation {id} is not one with modules: it has no context to make anew"),
                &[("conversation_id", id.to_string())],
            ),
            ApiError::ConversationBusy(id) => status(
                Code::FailedPrecondition,
                "CONVERSATION_BUSY",
                format!("a turn of conversation {id} has not ended; wait for it, or cancel it"),
                &[("conversation_id", id.to_string())],
            ),
            ApiError::Refused(refused) => of_refused(refused),
            ApiError::Store(error) => of_store(&error),
            ApiError::Detached(Detached(why)) => status(Code::Unavailable, "TURN_DETACHED", why, &[]),
            ApiError::TooLarge { limit_bytes } => bad_fields(vec![(
                "prompt".to_owned(),
                format!(
                    "the request is larger than the server takes; the limit of a prompt is {limit_bytes} bytes (limits.prompt_bytes)"
                ),
            )]),
            ApiError::Token(failure) => token::of_token(failure),
            ApiError::OtherUser => status(
                Code::PermissionDenied,
                "PEER_NOT_OWNER",
                "this socket serves only the user who started the server".to_owned(),
                &[],
            ),
        }
    }
}

fn of_refused(refused: Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::Draining => status(Code::Unavailable, "DRAINING", text, &[]),
        Refused::QueueFull { queued, own, max_queue, sources, retry_after } => {
            let count = |name, n: usize| (name, n.to_string());
            let counts = [
                count("queued", queued),
                count("own", own),
                count("max_queue", max_queue),
                count("sources", sources),
            ];
            let mut details = info("QUEUE_FULL", &counts);
            details.set_retry_info(Some(retry_after));
            Status::with_error_details(Code::ResourceExhausted, text, details)
        }
        Refused::MemoryPressure { free, reserve, retry_after } => {
            let bytes = |name, n: u64| (name, n.to_string());
            let mut details =
                info("MEMORY_PRESSURE", &[bytes("free_bytes", free), bytes("reserve_bytes", reserve)]);
            details.set_retry_info(Some(retry_after));
            Status::with_error_details(Code::ResourceExhausted, text, details)
        }
        Refused::BackendFailing(view) => {
            let mut details = info("BACKEND_FAILING", &[("failures", view.failures.to_string())]);
            details.set_retry_info(Some(view.retry_after.unwrap_or(std::time::Duration::from_secs(1))));
            Status::with_error_details(Code::Unavailable, text, details)
        }
        Refused::BudgetExceeded(exceeded) => {
            let mut details = info("BUDGET_EXCEEDED", &exceeded.metadata());
            if let Some(retry_after) = exceeded.retry_after {
                details.set_retry_info(Some(retry_after));
            }
            Status::with_error_details(Code::ResourceExhausted, text, details)
        }
        Refused::AllInstancesPinned(Held { setting, most, module }) => {
            let mut words = vec![("setting", setting.to_owned()), ("max_instances", most.to_string())];
            words.extend(module.map(|module| ("module", module)));
            status(Code::ResourceExhausted, "ALL_INSTANCES_PINNED", text, &words)
        }
        Refused::NotReady(not_ready) => {
            status(Code::FailedPrecondition, not_ready.reason.as_str(), text, &[])
        }
        Refused::NameTaken(name) => {
            status(Code::AlreadyExists, "INSTANCE_NAME_TAKEN", text, &[("name", name)])
        }
        Refused::NoSuchInstance(id) => absent("INSTANCE_NOT_FOUND", "instance", &id),
        Refused::InstanceStopped(id) => {
            status(Code::FailedPrecondition, "INSTANCE_STOPPED", text, &[("instance_id", id.to_string())])
        }
        Refused::InstancePaused(id) => {
            status(Code::FailedPrecondition, "INSTANCE_PAUSED", text, &[("instance_id", id.to_string())])
        }
        Refused::InstanceNotBusy(id) => {
            status(Code::FailedPrecondition, "INSTANCE_NOT_BUSY", text, &[("instance_id", id.to_string())])
        }
        Refused::InstanceIsSpare(id) => {
            status(Code::FailedPrecondition, "INSTANCE_IS_SPARE", text, &[("instance_id", id.to_string())])
        }
        Refused::InstanceEnded(id) => {
            status(Code::FailedPrecondition, "INSTANCE_STOPPED", text, &[("instance_id", id.to_string())])
        }
        Refused::ConversationServed(conversation, instance) => status(
            Code::FailedPrecondition,
            "CONVERSATION_HAS_INSTANCE",
            text,
            &[("conversation_id", conversation.to_string()), ("instance_id", instance.to_string())],
        ),
        Refused::ConversationStarting(conversation) => status(
            Code::FailedPrecondition,
            "CONVERSATION_STARTING",
            text,
            &[("conversation_id", conversation.to_string())],
        ),
        Refused::OtherConversation(id) => status(
            Code::FailedPrecondition,
            "INSTANCE_OF_OTHER_CONVERSATION",
            text,
            &[("instance_id", id.to_string())],
        ),
        Refused::ContextChanged => status(Code::Aborted, "CONTEXT_CHANGED", text, &[]),
        Refused::RequestIdReused(turn) => {
            status(Code::AlreadyExists, "REQUEST_ID_REUSED", text, &[("turn_id", turn.to_string())])
        }
        Refused::SpawnFailed(_) => status(Code::FailedPrecondition, "SPAWN_FAILED", text, &[]),
        Refused::Store(error) => of_store(&error),
        Refused::Gone => status(Code::Unavailable, "DRAINING", text, &[]),
    }
}

fn of_store(error: &StoreError) -> Status {
    let text = chain(error);
    match error {
        StoreError::NotFound { what, id } => match *what {
            "conversation" => absent("CONVERSATION_NOT_FOUND", what, id),
            "turn" => absent("TURN_NOT_FOUND", what, id),
            "module" => absent("MODULE_NOT_FOUND", what, id),
            _ => absent("NOT_FOUND", what, id),
        },
        StoreError::Fenced { .. } => status(Code::Aborted, "FENCED", text, &[]),
        StoreError::Conflict(_) => status(Code::FailedPrecondition, "CONFLICT", text, &[]),
        StoreError::AlreadyTerminal(turn) => {
            status(Code::FailedPrecondition, "TURN_ALREADY_ENDED", text, &[("turn_id", turn.id.to_string())])
        }
        StoreError::Illegal(_) => status(Code::Internal, "INTERNAL", text, &[]),
        StoreError::BadToken => bad_fields(vec![("page_token".to_owned(), text)]),
        StoreError::Unknown(_) => status(Code::Unavailable, "STORE_OUTCOME_UNKNOWN", text, &[]),
        StoreError::Unavailable(_) => status(Code::Unavailable, "STORE_UNAVAILABLE", text, &[]),
        StoreError::Corrupt(_) => status(Code::DataLoss, "STORE_CORRUPT", text, &[]),
    }
}

fn info(reason: &str, metadata: &[(&str, String)]) -> ErrorDetails {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), shortened(value, METADATA_BYTES)));
    ErrorDetails::with_error_info(reason, DOMAIN, metadata.collect::<std::collections::HashMap<_, _>>())
}

fn status(code: Code, reason: &str, message: String, metadata: &[(&str, String)]) -> Status {
    Status::with_error_details(code, shortened(&message, MESSAGE_BYTES), info(reason, metadata))
}

/// A text that fits: its beginning says what failed, its end (of a standard error, say) why.
fn shortened(text: &str, limit_bytes: usize) -> String {
    if text.len() <= limit_bytes {
        return text.to_owned();
    }
    let (mut head, mut tail) = (limit_bytes / 3, text.len() - limit_bytes * 2 / 3);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} … {}", &text[..head], &text[tail..])
}

fn absent(reason: &str, what: &str, id: &str) -> Status {
    status(Code::NotFound, reason, format!("there is no {what} {id}"), &[("id", id.to_owned())])
}

fn bad_fields(fields: Vec<(String, String)>) -> Status {
    let text =
        fields.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; ");
    let mut details = info("INVALID_ARGUMENT", &[]);
    let more = fields.len().saturating_sub(VIOLATIONS);
    let mut violations: Vec<FieldViolation> = fields
        .into_iter()
        .take(VIOLATIONS)
        .map(|(field, problem)| FieldViolation::new(field, shortened(&problem, METADATA_BYTES)))
        .collect();
    if more > 0 {
        violations.push(FieldViolation::new("", format!("and {more} more")));
    }
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, shortened(&text, MESSAGE_BYTES), details)
}

#[cfg(test)]
mod tests;
