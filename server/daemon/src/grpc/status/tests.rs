//! Every error has its code and its reason, and carries what a client needs to act on it.

use std::time::Duration;

use claude_comms_model::InstanceId;
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::backend::{NotReady, NotReadyReason};

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
        (Refused::Draining.into(), Code::Unavailable, "DRAINING"),
        (Refused::Gone.into(), Code::Unavailable, "DRAINING"),
        (
            Refused::QueueFull { queued: 3, retry_after: Duration::from_secs(1) }.into(),
            Code::ResourceExhausted,
            "QUEUE_FULL",
        ),
        (Refused::AllInstancesPinned(8).into(), Code::ResourceExhausted, "ALL_INSTANCES_PINNED"),
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
        (absent("thing").into(), Code::NotFound, "NOT_FOUND"),
        (StoreError::Fenced { epoch: 1, attempt: 1 }.into(), Code::Aborted, "FENCED"),
        (StoreError::Conflict("x".into()).into(), Code::FailedPrecondition, "CONFLICT"),
        (StoreError::Illegal(illegal).into(), Code::Internal, "INTERNAL"),
        (StoreError::BadToken.into(), Code::InvalidArgument, "INVALID_ARGUMENT"),
        (StoreError::Unknown(io()).into(), Code::Unavailable, "STORE_OUTCOME_UNKNOWN"),
        (StoreError::Unavailable("x".into()).into(), Code::Unavailable, "STORE_UNAVAILABLE"),
        (StoreError::Corrupt("x".into()).into(), Code::DataLoss, "STORE_CORRUPT"),
        (Detached("x".into()).into(), Code::Unavailable, "TURN_DETACHED"),
        (ApiError::TooLarge { limit_bytes: 1 }, Code::InvalidArgument, "INVALID_ARGUMENT"),
        (ApiError::Unauthenticated("x"), Code::Unauthenticated, "TOKEN_REQUIRED"),
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
fn a_full_queue_says_when_to_come_back_and_bad_fields_are_all_named() {
    let full =
        Status::from(ApiError::from(Refused::QueueFull { queued: 1, retry_after: Duration::from_secs(2) }));
    assert_eq!(full.get_details_retry_info().and_then(|info| info.retry_delay), Some(Duration::from_secs(2)));

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
