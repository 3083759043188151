//! What records take on disk. Large texts: written once, given back by every read, gone with what they belong to.

use std::{fs, path::Path};

use claude_comms_model::{Transition, Usage};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, ConversationQuery, FinishTurn, NewConversation, Store, StoreError, TurnQuery,
};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle,
    backends::FileBackend,
};

use crate::support::*;

const CONVERSATIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("conversations");
const TURNS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("turns");
const SYSTEM_PROMPTS: TableDefinition<'_, u128, &str> = TableDefinition::new("system_prompts");
const PROMPTS: TableDefinition<'_, u128, &str> = TableDefinition::new("prompts");

fn database(dir: &Path) -> Database {
    let file = fs::OpenOptions::new().read(true).write(true).open(dir.join("store.redb")).unwrap();
    Builder::new().create_with_backend(FileBackend::new(file).unwrap()).unwrap()
}

/// How many texts have rows of their own: system prompts, prompts. No record's row has a large one.
fn rows(dir: &Path) -> (u64, u64) {
    let database = database(dir);
    let snapshot = database.begin_read().unwrap();
    for records in [CONVERSATIONS, TURNS] {
        for row in snapshot.open_table(records).unwrap().iter().unwrap() {
            assert!(row.unwrap().1.value().len() < 6000, "in {records}");
        }
    }
    let system_prompts = snapshot.open_table(SYSTEM_PROMPTS).unwrap().len().unwrap();
    (system_prompts, snapshot.open_table(PROMPTS).unwrap().len().unwrap())
}

#[tokio::test]
async fn a_system_prompt_outlives_every_write_of_its_conversation() {
    let mut place = place();
    let without = conversation(&*place.store).await;
    let new = NewConversation { system_prompt: "be brief. ".repeat(50_000), ..new_conversation() };
    let made = place.store.create_conversation(new.clone()).await.unwrap();
    assert_eq!(made.system_prompt, new.system_prompt);
    for _ in 0..2 {
        let (turn, lease) = running(&*place.store, new.id).await;
        place.store.append(lease, turn.id, 1, vec![note()]).await.unwrap();
        place.store.requeue_turn(lease, turn.id, 1, retrying()).await.unwrap();
        let started = place.store.start_turn(turn.id, on_a_process()).await.unwrap();
        finished(&*place.store, &started.turn, started.lease).await;
        let kept = place.store.conversation(new.id).await.unwrap().unwrap();
        assert_eq!(kept.system_prompt, new.system_prompt);
        let all = ConversationQuery { limit: 5, ..ConversationQuery::default() };
        let listed = place.store.conversations(all).await.unwrap().items;
        assert_eq!(listed[0], kept);
        assert_eq!((listed[1].id, listed[1].system_prompt.as_str()), (without, ""));
        place = place.reopened().await;
    }
    place.store.close().await;
    assert_eq!(rows(place.dir.path()), (1, 0));
    let store = open(place.dir.path());
    assert!(store.delete_conversation(new.id).await.unwrap());
    store.create_conversation(NewConversation { id: new.id, ..new_conversation() }).await.unwrap();
    assert_eq!(store.conversation(new.id).await.unwrap().unwrap().system_prompt, "");
    store.close().await;
    assert_eq!(rows(place.dir.path()), (0, 0));
}

#[tokio::test]
async fn a_prompt_is_whole_in_every_answer_whatever_its_size() {
    for (bytes, apart) in [(1, 0), (4096, 0), (4097, 1), (2 << 20, 1)] {
        let place = place();
        let store = &*place.store;
        let id = conversation(store).await;
        let wanted = AcceptTurn { prompt: "p".repeat(bytes), ..request(id) };
        let (turn, prompt) = (wanted.turn_id, &wanted.prompt);
        assert_eq!(&accept(store, wanted.clone()).await.turn.prompt, prompt);
        assert_eq!(&store.unfinished_turns().await.unwrap()[0].prompt, prompt);
        let started = store.start_turn(turn, on_a_process()).await.unwrap();
        assert_eq!(&started.turn.prompt, prompt);
        let (requeued, _) = store.requeue_turn(started.lease, turn, 1, retrying()).await.unwrap();
        assert_eq!(&requeued.prompt, prompt);
        let started = store.start_turn(turn, on_a_process()).await.unwrap();
        store.append(started.lease, turn, 2, vec![note()]).await.unwrap();
        let ended = finished(store, &started.turn, started.lease).await.turn;
        assert_eq!(&ended.prompt, prompt);
        match store.accept_turn(wanted.clone()).await.unwrap() {
            AcceptOutcome::Same(known) => assert_eq!(*known, ended),
            other => panic!("{other:?}"),
        }
        match store.finish_turn(complete(&ended, Some(started.lease))).await {
            Err(StoreError::AlreadyTerminal(known)) => assert_eq!(*known, ended),
            other => panic!("{other:?}"),
        }
        let place = place.reopened().await;
        let store = &*place.store;
        assert_eq!(store.turn(turn).await.unwrap().as_ref(), Some(&ended));
        assert_eq!(
            store.turn_of_request(wanted.scope, wanted.request_id).await.unwrap().as_ref(),
            Some(&ended)
        );
        let all = TurnQuery { limit: 5, ..TurnQuery::default() };
        assert_eq!(store.turns(all).await.unwrap().items, [ended]);
        store.close().await;
        assert_eq!(rows(place.dir.path()), (0, apart), "{bytes} bytes");
        let store = open(place.dir.path());
        assert!(store.delete_conversation(id).await.unwrap());
        store.close().await;
        assert_eq!(rows(place.dir.path()), (0, 0), "{bytes} bytes");
    }
}

#[tokio::test]
async fn of_a_deleted_conversation_no_row_is_left() {
    let place = place();
    let store = &*place.store;
    let wanted = AcceptTurn { prompt: "p".repeat(5000), start: Some(on_a_process()), ..query(17, "a", "b") };
    let accepted = accept(store, wanted.clone()).await;
    finished(store, &accepted.turn, accepted.lease.unwrap()).await;
    store.close().await;
    let rows = |dir: &Path| {
        let database = database(dir);
        let snapshot = database.begin_read().unwrap();
        let mut rows: Vec<_> = snapshot
            .list_tables()
            .unwrap()
            .map(|table| {
                let name = table.name().to_owned();
                (name, snapshot.open_untyped_table(table).unwrap().len().unwrap())
            })
            .filter(|(name, rows)| *rows > 0 && name != "claude_comms_meta")
            .collect();
        rows.sort();
        rows
    };
    assert!(rows(place.dir.path()).len() > 10, "it had rows in most tables");
    let store = open(place.dir.path());
    assert!(store.delete_conversation(wanted.conversation_id).await.unwrap());
    store.close().await;
    assert_eq!(rows(place.dir.path()), []);
}

/// Three rows of 1250 bytes fit a page of 4096 with their keys, and some bytes are left for larger numbers.
#[tokio::test]
async fn three_small_ended_turns_share_a_page() {
    let place = place();
    let id = conversation(&*place.store).await;
    let wanted = AcceptTurn { prompt: "p".repeat(200), timeout_micros: 600_000_000, ..running_request(id) };
    let accepted = accept(&*place.store, wanted).await;
    let finish = FinishTurn {
        transition: Transition::Complete { text: "a".repeat(500), data_json: None },
        usage: Usage { input_tokens: 100, output_tokens: 120, ..Usage::default() },
        cost_usd: 0.01,
        first_token_time: accepted.turn.start_time,
        last_assistant_uuid: Some(uuid::Uuid::new_v4().to_string()),
        ..complete(&accepted.turn, accepted.lease)
    };
    place.store.finish_turn(finish).await.unwrap();
    place.store.close().await;
    let database = database(place.dir.path());
    let turns = database.begin_read().unwrap().open_table(TURNS).unwrap();
    let row = turns.first().unwrap().unwrap().1.value().to_vec();
    assert!(row.len() <= 1250, "{} bytes: {}", row.len(), String::from_utf8_lossy(&row));
}
