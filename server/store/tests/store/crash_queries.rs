//! What a kill must not halve: a query with its conversation, and the registration of a module.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use claude_comms_model::{Conversation, ConversationId, EventKind, RequestId, ResetReason, TurnId};
use claude_comms_store::{
    AcceptTurn, ConversationQuery, RedbStore, RegisterModule, RegisterOutcome, RequestScope, Store, TurnQuery,
};
use uuid::Uuid;

use crate::{
    module_revisions::{info, revisions},
    process::tell,
    support::*,
};

const PAIR: RequestScope = RequestScope::Pair(17);

/// Queries that were sent, by their conversations: each with its request, and whether it was acknowledged.
pub(crate) type Queries = BTreeMap<ConversationId, (RequestId, bool)>;
/// Modules: the last number that was acknowledged, and its version.
pub(crate) type Modules = BTreeMap<String, (u64, String)>;

fn scene_text(id: ConversationId) -> String {
    format!("{{\"of\":\"{id}\"}}")
}

/// Asks until it is killed; deletes every fourth conversation.
pub(crate) async fn ask(store: Arc<RedbStore>) {
    for round in 0_u32.. {
        let start = (round % 2 == 0).then(on_a_process);
        let mut wanted = AcceptTurn { start, ..query(17, "shop", "billing") };
        let id = wanted.conversation_id;
        wanted.new_conversation.as_mut().unwrap().scene = Some(scene_of(&scene_text(id)));
        tell(&format!("querying {id} {}", wanted.request_id));
        let accepted = accept(&*store, wanted).await;
        tell(&format!("queried {id}"));
        let Some(lease) = accepted.lease else { continue };
        store.repair_turn(lease, accepted.turn.id, 1, Uuid::new_v4()).await.unwrap();
        finished(&*store, &accepted.turn, lease).await;
        if round % 4 == 0 {
            tell(&format!("deleting {id}"));
            assert!(store.delete_conversation(id).await.unwrap());
            tell(&format!("deleted {id}"));
        }
    }
}

/// Registers until it is killed; no content comes twice.
pub(crate) async fn register(store: Arc<RedbStore>) {
    for round in 0_u32.. {
        let name = ["billing", "shop"][round as usize % 2].to_owned();
        let version = format!("1.{round}.0");
        let descriptor = format!("{{\"content\":\"{}\"}}", Uuid::new_v4());
        let new = RegisterModule {
            name: name.clone(),
            version: version.clone(),
            digest: digest(&descriptor),
            descriptor,
            path: String::new(),
            force: true,
            must_exist: false,
            expected_digest: None,
        };
        match store.register_module(new).await.unwrap() {
            RegisterOutcome::Stored(record) => tell(&format!("module {name} {} {version}", record.number)),
            other => panic!("not stored: {other:?}"),
        }
    }
}

/// Each query is there whole or not at all, and there if it was acknowledged.
pub(crate) async fn check_queries(store: &dyn Store, queries: &Queries, doomed: &BTreeSet<ConversationId>) {
    let (mut conversations, mut turns) = (BTreeSet::new(), BTreeSet::new());
    for (id, (request, acknowledged)) in queries {
        let turn = store.turn_of_request(PAIR, *request).await.unwrap();
        let scope = RequestScope::Conversation(*id);
        assert_eq!(store.turn_of_request(scope, *request).await.unwrap(), turn);
        match store.conversation(*id).await.unwrap() {
            None => {
                assert!(!acknowledged || doomed.contains(id), "query {id} is lost");
                assert_eq!(turn, None);
                assert_eq!(store.scene(digest(&scene_text(*id))).await.unwrap(), None);
            }
            Some(conversation) => {
                let turn = turn.expect("a query is whole");
                check_query(store, &conversation, turn.id).await;
                conversations.insert(*id);
                turns.insert(turn.id);
            }
        }
    }
    for name in ["shop", "billing"] {
        let module = Some(name.to_owned());
        let query = ConversationQuery { module: module.clone(), limit: usize::MAX, ..Default::default() };
        let listed = store.conversations(query).await.unwrap().items;
        assert_eq!(listed.iter().map(|conversation| conversation.id).collect::<BTreeSet<_>>(), conversations);
        let query = TurnQuery { module, limit: usize::MAX, ..TurnQuery::default() };
        let listed = store.turns(query).await.unwrap().items;
        assert_eq!(listed.iter().map(|turn| turn.id).collect::<BTreeSet<_>>(), turns);
    }
}

async fn check_query(store: &dyn Store, conversation: &Conversation, id: TurnId) {
    assert_eq!(store.scene(conversation.scene.clone()).await.unwrap(), Some(scene_text(conversation.id)));
    assert_eq!((conversation.turn_count, conversation.system_prompt.as_str()), (1, "you speak for billing"));
    let turn = store.turn(id).await.unwrap().unwrap();
    assert_eq!(turn.conversation_id, conversation.id);
    assert_eq!(turn.asked, Some(Box::new(asked("what do you owe?"))));
    let repair = EventKind::TextReset { reason: ResetReason::Repair };
    let events = store.turn_events(id, 0).await.unwrap();
    assert_eq!(events.iter().any(|event| event.kind == repair), turn.claude.repair_uuid.is_some());
}

/// Every registration that was acknowledged is there, and each that is there is whole.
pub(crate) async fn check_modules(store: &dyn Store, modules: &Modules) {
    let current = store.modules().await.unwrap();
    assert_eq!(store.counts().await.unwrap().modules, current.len() as u64);
    for (name, (number, version)) in modules {
        let mut whole = Vec::new();
        for listed in revisions(store, name).await {
            let record =
                store.module_revision(name.clone(), listed.version.clone(), Some(listed.revision)).await;
            let record = record.unwrap().expect("it is listed");
            assert_eq!(info(&record), listed);
            whole.push(record);
        }
        let numbers: Vec<_> = whole.iter().rev().map(|record| record.number).collect();
        assert_eq!(numbers, (1..=whole.len() as u64).collect::<Vec<_>>());
        assert!(whole.iter().all(|record| record.digest == digest(&record.descriptor)));
        let acknowledged = whole.iter().find(|record| record.number == *number);
        assert_eq!(&acknowledged.expect("it was acknowledged").version, version);
        assert_eq!(current.iter().find(|record| record.name == *name), whole.first());
    }
}
