//! Every error has its code and its reason, and carries what a client needs to act on it.

use std::{collections::BTreeSet, time::Duration};

use claude_comms_model::{
    CancelReason, FailureReason, InstanceId, ModuleRecord, RequestId, ServerId, Timestamp, TokenScope, Turn,
    TurnState,
};
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::{
    backend::{NotReady, NotReadyReason},
    budget::Exceeded,
    condition::{Starts, View},
};

fn memory_pressure() -> Refused {
    Refused::MemoryPressure { free: 1 << 20, reserve: 1 << 28, retry_after: Duration::from_secs(1) }
}

fn queue_full(retry_after: Duration) -> Refused {
    Refused::QueueFull { queued: 3, own: 3, max_queue: 3, sources: 1, retry_after }
}

/// Makes `variant`, which knows every error there is, and `VARIANTS`, the list of them: what is added there does not
/// compile until it is named here, and what is named here fails until it is among the cases.
macro_rules! variants {
    ($($pattern:pat),* $(,)?) => {
        const VARIANTS: &[&str] = &[$(stringify!($pattern)),*];

        fn variant(error: &ApiError) -> &'static str {
            match error {
                $($pattern => stringify!($pattern),)*
            }
        }
    };
}

variants! {
    ApiError::BadFields(_),
    ApiError::NoConversation(_),
    ApiError::NoTurn(_),
    ApiError::TurnEnded(..),
    ApiError::NoModule { .. },
    ApiError::NoModuleVersion(..),
    ApiError::VersionLower { .. },
    ApiError::ModuleChanged { .. },
    ApiError::ModuleNotRegistered { .. },
    ApiError::ContextUnusable(_),
    ApiError::BudgetTooSmall(_),
    ApiError::NoContext(_),
    ApiError::ConversationBusy(_),
    ApiError::Refused(Refused::Draining),
    ApiError::Refused(Refused::MemoryPressure { .. }),
    ApiError::Refused(Refused::QueueFull { .. }),
    ApiError::Refused(Refused::BackendFailing(_)),
    ApiError::Refused(Refused::BudgetExceeded(_)),
    ApiError::Refused(Refused::AllInstancesPinned(_)),
    ApiError::Refused(Refused::NotReady(_)),
    ApiError::Refused(Refused::NameTaken(_)),
    ApiError::Refused(Refused::NoSuchInstance(_)),
    ApiError::Refused(Refused::InstanceStopped(_)),
    ApiError::Refused(Refused::InstancePaused(_)),
    ApiError::Refused(Refused::InstanceNotBusy(_)),
    ApiError::Refused(Refused::InstanceIsSpare(_)),
    ApiError::Refused(Refused::InstanceEnded(_)),
    ApiError::Refused(Refused::ConversationServed(..)),
    ApiError::Refused(Refused::ConversationStarting(_)),
    ApiError::Refused(Refused::OtherConversation(_)),
    ApiError::Refused(Refused::ContextChanged),
    ApiError::Refused(Refused::RequestIdReused(_)),
    ApiError::Refused(Refused::SpawnFailed(_)),
    ApiError::Refused(Refused::Store(_)),
    ApiError::Refused(Refused::Gone),
    ApiError::Store(StoreError::NotFound { .. }),
    ApiError::Store(StoreError::Fenced { .. }),
    ApiError::Store(StoreError::Conflict(_)),
    ApiError::Store(StoreError::AlreadyTerminal(_)),
    ApiError::Store(StoreError::Illegal(_)),
    ApiError::Store(StoreError::BadToken),
    ApiError::Store(StoreError::Unknown(_)),
    ApiError::Store(StoreError::Unavailable(_)),
    ApiError::Store(StoreError::Corrupt(_)),
    ApiError::Detached(_),
    ApiError::TooLarge { .. },
    ApiError::Token(TokenFailure::Required(_)),
    ApiError::Token(TokenFailure::Expired),
    ApiError::Token(TokenFailure::TooNarrow { .. }),
    ApiError::Token(TokenFailure::NameTaken(_)),
    ApiError::Token(TokenFailure::NotFound(_)),
    ApiError::Token(TokenFailure::TooMany(_)),
    ApiError::Token(TokenFailure::BuiltIn(_)),
    ApiError::OtherUser,
}

fn module() -> Box<ModuleRecord> {
    Box::new(ModuleRecord {
        name: "billing".into(),
        version: "2.0.0".into(),
        revision: 1,
        number: 1,
        descriptor: "{}".into(),
        digest: "abc".into(),
        path: String::new(),
        create_time: Timestamp(0),
        update_time: Timestamp(0),
        current: true,
    })
}

fn turn_record() -> Box<Turn> {
    let nil = Uuid::nil();
    let row = serde_json::json!({
        "c": ConversationId(nil), "r": RequestId(nil), "o": ServerId(nil), "s": TurnState::Queued,
        "h": "", "v": 1, "t": 1, "f": 1, "l": 1, "0": 0,
    });
    Box::new(serde_json::from_value(row).expect("a turn's row"))
}

fn cases() -> Vec<(ApiError, Code, &'static str)> {
    let conversation = ConversationId(Uuid::nil());
    let (turn, instance) = (TurnId(Uuid::nil()), InstanceId(Uuid::nil()));
    let io = || std::io::Error::other("disk");
    let illegal = claude_comms_model::IllegalTransition { machine: "turn", state: "FAILED", event: "start" };
    let absent = |what| StoreError::NotFound { what, id: "x".to_owned() };
    vec![
        (
            ApiError::BadFields(vec![("prompt".into(), "bad".into())]),
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
        ),
        (ApiError::NoConversation(conversation), Code::NotFound, "CONVERSATION_NOT_FOUND"),
        (ApiError::NoTurn(turn), Code::NotFound, "TURN_NOT_FOUND"),
        (ApiError::TurnEnded(turn, "FAILED"), Code::FailedPrecondition, "TURN_ALREADY_ENDED"),
        (ApiError::NoModule { name: "a".into(), hint: String::new() }, Code::NotFound, "MODULE_NOT_FOUND"),
        (ApiError::NoModuleVersion("a".into(), "1.0.0".into()), Code::NotFound, "MODULE_VERSION_NOT_FOUND"),
        (
            RegisterError::Fields(vec![("descriptor".into(), "bad".into())]).into(),
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
        ),
        (
            RegisterError::Lower { current: module(), given: "1.0.0".into() }.into(),
            Code::FailedPrecondition,
            "MODULE_VERSION_LOWER",
        ),
        (RegisterError::Changed(module()).into(), Code::Aborted, "MODULE_CHANGED"),
        (
            RegisterError::NotRegistered("a".into(), String::new()).into(),
            Code::NotFound,
            "MODULE_NOT_REGISTERED",
        ),
        (RegisterError::Store(StoreError::Corrupt("x".into())).into(), Code::DataLoss, "STORE_CORRUPT"),
        (
            QueryError::Fields(vec![("prompt".into(), "bad".into())]).into(),
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
        ),
        (
            QueryError::UnknownModule { name: "a".into(), hint: String::new() }.into(),
            Code::NotFound,
            "MODULE_NOT_FOUND",
        ),
        (QueryError::NoConversation(conversation).into(), Code::NotFound, "CONVERSATION_NOT_FOUND"),
        (QueryError::Unusable("x".into()).into(), Code::FailedPrecondition, "CONTEXT_UNUSABLE"),
        (QueryError::Budget("x".into()).into(), Code::InvalidArgument, "TOKEN_BUDGET_TOO_SMALL"),
        (QueryError::Changed.into(), Code::Aborted, "CONTEXT_CHANGED"),
        (QueryError::Store(StoreError::Corrupt("x".into())).into(), Code::DataLoss, "STORE_CORRUPT"),
        (ApiError::NoContext(conversation), Code::FailedPrecondition, "CONVERSATION_WITHOUT_MODULES"),
        (ApiError::ConversationBusy(conversation), Code::FailedPrecondition, "CONVERSATION_BUSY"),
        (Refused::Draining.into(), Code::Unavailable, "DRAINING"),
        (Refused::Gone.into(), Code::Unavailable, "DRAINING"),
        (queue_full(Duration::from_secs(1)).into(), Code::ResourceExhausted, "QUEUE_FULL"),
        (memory_pressure().into(), Code::ResourceExhausted, "MEMORY_PRESSURE"),
        (Refused::BackendFailing(Box::new(failing())).into(), Code::Unavailable, "BACKEND_FAILING"),
        (
            Refused::BudgetExceeded(Box::new(Exceeded::example())).into(),
            Code::ResourceExhausted,
            "BUDGET_EXCEEDED",
        ),
        (Refused::AllInstancesPinned(Held::all(8)).into(), Code::ResourceExhausted, "ALL_INSTANCES_PINNED"),
        (
            Refused::ConversationStarting(conversation).into(),
            Code::FailedPrecondition,
            "CONVERSATION_STARTING",
        ),
        (
            Refused::NotReady(NotReady { reason: NotReadyReason::NotFound, message: "none".into() }).into(),
            Code::FailedPrecondition,
            "CLAUDE_NOT_FOUND",
        ),
        (
            Refused::NotReady(NotReady { reason: NotReadyReason::TooOld, message: "old".into() }).into(),
            Code::FailedPrecondition,
            "CLAUDE_TOO_OLD",
        ),
        (Refused::NameTaken("a".into()).into(), Code::AlreadyExists, "INSTANCE_NAME_TAKEN"),
        (Refused::NoSuchInstance("a".into()).into(), Code::NotFound, "INSTANCE_NOT_FOUND"),
        (Refused::InstanceStopped(instance).into(), Code::FailedPrecondition, "INSTANCE_STOPPED"),
        (Refused::InstanceEnded(instance).into(), Code::FailedPrecondition, "INSTANCE_STOPPED"),
        (Refused::InstancePaused(instance).into(), Code::FailedPrecondition, "INSTANCE_PAUSED"),
        (Refused::InstanceIsSpare(instance).into(), Code::FailedPrecondition, "INSTANCE_IS_SPARE"),
        (Refused::InstanceNotBusy(instance).into(), Code::FailedPrecondition, "INSTANCE_NOT_BUSY"),
        (
            Refused::ConversationServed(conversation, instance).into(),
            Code::FailedPrecondition,
            "CONVERSATION_HAS_INSTANCE",
        ),
        (
            Refused::OtherConversation(instance).into(),
            Code::FailedPrecondition,
            "INSTANCE_OF_OTHER_CONVERSATION",
        ),
        (Refused::RequestIdReused(turn).into(), Code::AlreadyExists, "REQUEST_ID_REUSED"),
        (Refused::SpawnFailed("x".into()).into(), Code::FailedPrecondition, "SPAWN_FAILED"),
        (Refused::Store(StoreError::BadToken).into(), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (absent("conversation").into(), Code::NotFound, "CONVERSATION_NOT_FOUND"),
        (absent("turn").into(), Code::NotFound, "TURN_NOT_FOUND"),
        (absent("module").into(), Code::NotFound, "MODULE_NOT_FOUND"),
        (absent("thing").into(), Code::NotFound, "NOT_FOUND"),
        (StoreError::Fenced { epoch: 1, attempt: 1 }.into(), Code::Aborted, "FENCED"),
        (StoreError::Conflict("x".into()).into(), Code::FailedPrecondition, "CONFLICT"),
        (StoreError::AlreadyTerminal(turn_record()).into(), Code::FailedPrecondition, "TURN_ALREADY_ENDED"),
        (StoreError::Illegal(illegal).into(), Code::Internal, "INTERNAL"),
        (StoreError::BadToken.into(), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (StoreError::Unknown(io()).into(), Code::Unavailable, "STORE_OUTCOME_UNKNOWN"),
        (StoreError::Unavailable("x".into()).into(), Code::Unavailable, "STORE_UNAVAILABLE"),
        (StoreError::Corrupt("x".into()).into(), Code::DataLoss, "STORE_CORRUPT"),
        (Detached("x".into()).into(), Code::Unavailable, "TURN_DETACHED"),
        (ApiError::TooLarge { limit_bytes: 1 }, Code::InvalidArgument, "INVALID_ARGUMENT"),
        (ApiError::Token(TokenFailure::Required("x")), Code::Unauthenticated, "TOKEN_REQUIRED"),
        (ApiError::Token(TokenFailure::Expired), Code::Unauthenticated, "TOKEN_EXPIRED"),
        (
            ApiError::Token(TokenFailure::TooNarrow { scope: TokenScope::Read, needed: TokenScope::Admin }),
            Code::PermissionDenied,
            "SCOPE_TOO_NARROW",
        ),
        (ApiError::Token(TokenFailure::NameTaken("a".into())), Code::AlreadyExists, "TOKEN_NAME_TAKEN"),
        (ApiError::Token(TokenFailure::NotFound("a".into())), Code::NotFound, "TOKEN_NOT_FOUND"),
        (ApiError::Token(TokenFailure::TooMany(1)), Code::ResourceExhausted, "TOO_MANY_TOKENS"),
        (ApiError::Token(TokenFailure::BuiltIn("default")), Code::FailedPrecondition, "TOKEN_BUILT_IN"),
        (ApiError::OtherUser, Code::PermissionDenied, "PEER_NOT_OWNER"),
    ]
}

#[test]
fn every_error_has_its_code_and_reason() {
    for (error, code, reason) in cases() {
        let shown = format!("{error:?}");
        let status = Status::from(error);
        let info = status.get_details_error_info().expect("every error carries ErrorInfo");
        assert_eq!(
            (status.code(), info.reason.as_str(), info.domain.as_str()),
            (code, reason, DOMAIN),
            "{shown}"
        );
        assert!(!status.message().is_empty(), "{shown}");
    }
}

#[test]
fn every_error_is_among_the_cases() {
    let cases: Vec<_> = cases().iter().map(|(error, ..)| variant(error)).collect();
    let missing: Vec<_> = VARIANTS.iter().filter(|variant| !cases.contains(variant)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn an_error_of_a_module_says_which_one_and_why() {
    let lower = RegisterError::Lower { current: module(), given: "1.0.0".into() };
    let status = Status::from(ApiError::from(lower));
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.metadata["name"].as_str(), info.metadata["version"].as_str()), ("billing", "2.0.0"));
    assert_eq!(
        status.message(),
        "module billing is registered as version 2.0.0, which is higher than 1.0.0; raise the version, or force it"
    );

    let absent = RegisterError::NotRegistered("biling".into(), "; did you mean billing?".into());
    let status = Status::from(ApiError::from(absent));
    assert_eq!(status.message(), "module biling is not registered; did you mean billing?");
    assert_eq!(status.get_details_error_info().expect("ErrorInfo").metadata["id"], "biling");
}

fn failing() -> View {
    View {
        starts: Starts::Open,
        cause: "it died".into(),
        reason: "it died: /a/path".into(),
        failures: 5,
        retry_after: Some(Duration::from_secs(3)),
    }
}

#[test]
fn a_full_queue_says_when_to_come_back_and_bad_fields_are_all_named() {
    let full = Status::from(ApiError::from(queue_full(Duration::from_secs(2))));
    assert_eq!(full.get_details_retry_info().and_then(|info| info.retry_delay), Some(Duration::from_secs(2)));

    let failing = Status::from(ApiError::from(Refused::BackendFailing(Box::new(failing()))));
    assert_eq!(
        failing.get_details_retry_info().and_then(|info| info.retry_delay),
        Some(Duration::from_secs(3))
    );
    assert!(failing.message().contains("it died"), "{failing:?}");

    let spent = Status::from(ApiError::from(Refused::BudgetExceeded(Box::new(Exceeded::example()))));
    assert_eq!(
        spent.get_details_retry_info().and_then(|info| info.retry_delay),
        Some(Duration::from_secs(5))
    );
    let metadata = spent.get_details_error_info().expect("ErrorInfo").metadata;
    assert_eq!((metadata["scope"].as_str(), metadata["limit_usd"].as_str()), ("server_day", "0.01"));
    assert!(spent.message().contains("pool.budget_usd") && spent.message().contains("midnight UTC"));

    let fields =
        vec![("prompt".to_owned(), "empty".to_owned()), ("request_id".to_owned(), "no UUID".to_owned())];
    let bad = Status::from(ApiError::BadFields(fields)).get_details_bad_request().expect("BadRequest");
    let names: Vec<_> = bad.field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(names, ["prompt", "request_id"]);
}

#[test]
fn a_status_always_fits_the_headers_of_a_client() {
    let long = "stderr é🦀 ".repeat(10_000);
    let fields = (0..5000).map(|n| (format!("field{n}"), long.chars().take(2000).collect())).collect();
    for error in [
        ApiError::Refused(Refused::SpawnFailed(long.clone())),
        ApiError::Refused(Refused::NoSuchInstance(long.clone())),
        ApiError::BadFields(fields),
    ] {
        let status = Status::from(error);
        // Percent-encoding makes three bytes of one, base64 four of three; the message is in both parts.
        let encoded = status.message().len() * 3 + status.details().len() * 4 / 3;
        assert!(encoded < 16 << 10, "{encoded} bytes: {:.100}", status.message());
    }
    let spawn = Status::from(ApiError::Refused(Refused::SpawnFailed(format!("{long}the last words"))));
    assert!(spawn.message().ends_with("the last words"));
}

/// The reasons of a section's first table, each with a cause and a remedy.
fn documented(section: &str) -> BTreeSet<&'static str> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md"));
    let start = page.find(&format!("\n## {section}\n")).expect("the section is there") + 1;
    let rows = page[start..].lines().skip_while(|line| !line.starts_with("| `"));
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [.., cause, remedy] = cells[..] else { panic!("no cause and remedy: {line}") };
            assert!(cause.len() > 5 && remedy.len() > 4, "cause and remedy in words: {line}");
            cells[0].trim_matches('`')
        })
        .collect()
}

#[test]
fn troubleshooting_has_every_reason_and_no_other_with_its_cause_and_remedy() {
    assert_eq!(documented("Calls that fail"), cases().into_iter().map(|(_, _, reason)| reason).collect());
    let failed = FailureReason::ALL.iter().map(|reason| reason.as_str());
    assert_eq!(documented("Turns that FAILED"), failed.collect());
    let cancelled = CancelReason::ALL.iter().map(|reason| reason.as_str());
    assert_eq!(documented("Turns that were CANCELLED"), cancelled.collect());
}
