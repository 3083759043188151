//! Arranging: stores in temporary directories, and requests with sensible content. Asserts nothing.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use claude_comms_model::{
    Asked, AskedLimits, Conversation, ConversationId, EventKind, Failure, FailureReason, InstanceId,
    ModuleRef, RequestId, Transition, Turn, TurnId, Usage,
};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, Accepted, FinishTurn, Finished, Lease, NewConversation, Options, RedbStore,
    RequestScope, Scene, StartTurn, Store, UpgradeConversation, UpgradeOutcome,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

/// A store and its directory, which goes with it.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dir: TempDir,
}

/// A new store.
pub(crate) fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    Place { store, dir }
}

impl Place {
    /// The same directory, closed and opened again.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let store = Arc::new(open(self.dir.path()));
        Self { store, dir: self.dir }
    }
}

/// The store of a directory.
pub(crate) fn open(dir: &Path) -> RedbStore {
    RedbStore::open(dir, Options::default()).unwrap()
}

/// A conversation with defaults only.
pub(crate) fn new_conversation() -> NewConversation {
    NewConversation {
        id: ConversationId(Uuid::now_v7()),
        title: "title".to_owned(),
        system_prompt: String::new(),
        model: None,
        labels: BTreeMap::new(),
        source_module: None,
        target_module: None,
        scene: None,
    }
}

/// A conversation that is there.
pub(crate) async fn conversation(store: &dyn Store) -> ConversationId {
    store.create_conversation(new_conversation()).await.unwrap().id
}

/// A request for a turn that waits.
pub(crate) fn request(conversation_id: ConversationId) -> AcceptTurn {
    AcceptTurn {
        turn_id: TurnId(Uuid::now_v7()),
        conversation_id,
        new_conversation: None,
        request_id: RequestId(Uuid::new_v4()),
        scope: RequestScope::Conversation(conversation_id),
        seen_scene_revision: 0,
        payload_hash: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".to_owned(),
        prompt: "what is the answer?".to_owned(),
        asked: None,
        timeout_micros: 60_000_000,
        target_instance: None,
        start: None,
    }
}

/// A query from one module to another: the request for a turn, and the conversation that is made with it.
pub(crate) fn query(pair: u128, source: &str, target: &str) -> AcceptTurn {
    let scene = format!("{{\"source\":\"{source}\",\"target\":\"{target}\"}}");
    let new = NewConversation {
        system_prompt: format!("you speak for {target}"),
        source_module: Some(module(source)),
        target_module: Some(module(target)),
        scene: Some(scene_of(&scene)),
        ..new_conversation()
    };
    AcceptTurn {
        new_conversation: Some(Box::new(new.clone())),
        scope: RequestScope::Pair(pair),
        asked: Some(Box::new(asked("what do you owe?"))),
        ..request(new.id)
    }
}

/// A module as a conversation remembers it.
pub(crate) fn module(name: &str) -> ModuleRef {
    ModuleRef {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        revision: 1,
        origin: "registered".to_owned(),
    }
}

/// Upgrades a conversation, and nothing else will do.
pub(crate) async fn upgraded(store: &dyn Store, upgrade: UpgradeConversation) -> Conversation {
    match store.upgrade_conversation(upgrade).await.unwrap() {
        UpgradeOutcome::Upgraded(conversation) => *conversation,
        UpgradeOutcome::Busy => panic!("a turn of it has not ended"),
    }
}

/// A scene with that text.
pub(crate) fn scene_of(json: &str) -> Scene {
    Scene { digest: digest(json), json: json.to_owned() }
}

/// SHA-256 of a text, hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a template made of a question.
pub(crate) fn asked(question: &str) -> Asked {
    Asked {
        message: format!("QUESTION: {question}"),
        template: "query@1.0.0".to_owned(),
        capability: "balance".to_owned(),
        output_schema: Some("{\"type\":\"number\"}".to_owned()),
        limits: AskedLimits { rounds: Some(3), budget_nano_usd: Some(7) },
    }
}

/// A request for a turn that runs at once.
pub(crate) fn running_request(conversation_id: ConversationId) -> AcceptTurn {
    AcceptTurn { start: Some(on_a_process()), ..request(conversation_id) }
}

/// A process to start a turn on.
pub(crate) fn on_a_process() -> StartTurn {
    StartTurn {
        instance_id: InstanceId(Uuid::now_v7()),
        session_id: Uuid::new_v4(),
        user_uuid: Uuid::new_v4(),
    }
}

/// Accepts, and nothing else will do.
pub(crate) async fn accept(store: &dyn Store, request: AcceptTurn) -> Accepted {
    match store.accept_turn(request).await.unwrap() {
        AcceptOutcome::Accepted(accepted) => *accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

/// A queued turn.
pub(crate) async fn queued(store: &dyn Store, conversation: ConversationId) -> Turn {
    accept(store, request(conversation)).await.turn
}

/// A running turn and its lease.
pub(crate) async fn running(store: &dyn Store, conversation: ConversationId) -> (Turn, Lease) {
    let accepted = accept(store, running_request(conversation)).await;
    (accepted.turn, accepted.lease.unwrap())
}

/// The end of a turn with an answer, by nobody yet.
pub(crate) fn answering(turn_id: TurnId) -> FinishTurn {
    FinishTurn {
        turn_id,
        lease: None,
        attempt: 0,
        transition: Transition::Complete { text: format!("answer to {turn_id}"), data_json: None },
        usage: Usage { input_tokens: 3, output_tokens: 40, ..Usage::default() },
        cost_usd: 0.25,
        first_token_time: None,
        in_context: true,
        session_id: None,
        last_assistant_uuid: None,
    }
}

/// The way to FAILED.
pub(crate) fn failing() -> Transition {
    let failure = Failure::new(FailureReason::TurnTimeout, "its time was up");
    Transition::Fail { failure, partial_text: "what".to_owned() }
}

/// The end of a turn with an answer.
pub(crate) fn complete(turn: &Turn, lease: Option<Lease>) -> FinishTurn {
    FinishTurn { lease, attempt: turn.attempt, ..answering(turn.id) }
}

/// The end of a turn without an answer.
pub(crate) fn fail(turn: &Turn, lease: Option<Lease>) -> FinishTurn {
    FinishTurn { transition: failing(), in_context: false, ..complete(turn, lease) }
}

/// Ends a running turn.
pub(crate) async fn finished(store: &dyn Store, turn: &Turn, lease: Lease) -> Finished {
    store.finish_turn(complete(turn, Some(lease))).await.unwrap()
}

/// An event without weight.
pub(crate) fn note() -> EventKind {
    EventKind::SessionReset { reason: "noted".to_owned() }
}

/// The event of a requeue.
pub(crate) fn retrying() -> EventKind {
    EventKind::Retrying {
        attempt: 1,
        max_attempts: 3,
        delay: std::time::Duration::from_millis(250),
        reason: "the process died".to_owned(),
        again: false,
        http_status: None,
        until: None,
    }
}
