//! A server killed at any moment: what it acknowledged is there, and nothing is there by half.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use claude_comms_model::{
    Conversation, ConversationId, EventKind, RequestId, Turn, TurnId, TurnState, Usage,
};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, ConversationQuery, Options, RedbStore, Store, TurnQuery,
};

use crate::{
    crash_queries::{self, Modules, Queries},
    process::{self, Other, tell},
    support::*,
};

/// What the killed processes told.
#[derive(Debug, Default)]
struct Ledger {
    /// Accepted turns: their conversations, requests, and whether they ended.
    turns: BTreeMap<TurnId, (ConversationId, RequestId, bool)>,
    conversations: BTreeSet<ConversationId>,
    /// Somebody began to delete them.
    doomed: BTreeSet<ConversationId>,
    deleted: BTreeSet<ConversationId>,
    queries: Queries,
    modules: Modules,
}

impl Ledger {
    fn note(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["conversation", id] => drop(self.conversations.insert(id.parse().unwrap())),
            ["accepted", conversation, request, turn] => {
                let entry = (conversation.parse().unwrap(), request.parse().unwrap(), false);
                self.turns.insert(turn.parse().unwrap(), entry);
            }
            ["finished", turn] => self.turns.get_mut(&turn.parse().unwrap()).unwrap().2 = true,
            ["querying", conversation, request] => {
                self.queries.insert(conversation.parse().unwrap(), (request.parse().unwrap(), false));
            }
            ["queried", conversation] => {
                self.queries.get_mut(&conversation.parse().unwrap()).unwrap().1 = true
            }
            ["module", name, number, version] => {
                self.modules.insert(name.to_owned(), (number.parse().unwrap(), version.to_owned()));
            }
            ["deleting", id] => drop(self.doomed.insert(id.parse().unwrap())),
            ["deleted", id] => drop(self.deleted.insert(id.parse().unwrap())),
            _ => panic!("told {line}"),
        }
    }
}

/// Works until it is killed; tells what was acknowledged.
fn work(directory: &Path, options: Options) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tell("opening");
    let store = Arc::new(RedbStore::open(directory, options).unwrap());
    runtime.block_on(async {
        let mut producers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            producers.spawn(produce(Arc::clone(&store)));
        }
        for _ in 0..2 {
            producers.spawn(crash_queries::ask(Arc::clone(&store)));
        }
        producers.spawn(crash_queries::register(Arc::clone(&store)));
        producers.join_all().await;
    });
}

async fn produce(store: Arc<RedbStore>) {
    for round in 0_u32.. {
        let id = conversation(&*store).await;
        tell(&format!("conversation {id}"));
        for _ in 0..5 {
            let wanted = request(id);
            let turn = accept(&*store, wanted.clone()).await.turn;
            tell(&format!("accepted {id} {} {}", wanted.request_id, turn.id));
            let started = store.start_turn(turn.id, on_a_process()).await.unwrap();
            store.append(started.lease, turn.id, 1, vec![note(), note()]).await.unwrap();
            store.requeue_turn(started.lease, turn.id, 1, retrying()).await.unwrap();
            let started = store.start_turn(turn.id, on_a_process()).await.unwrap();
            finished(&*store, &started.turn, started.lease).await;
            tell(&format!("finished {}", turn.id));
        }
        if round % 3 == 0 {
            tell(&format!("deleting {id}"));
            assert!(store.delete_conversation(id).await.unwrap());
            tell(&format!("deleted {id}"));
        }
    }
}

async fn all_conversations(store: &dyn Store) -> Vec<Conversation> {
    let query = ConversationQuery { limit: usize::MAX, ..ConversationQuery::default() };
    store.conversations(query).await.unwrap().items
}

/// Every record agrees with every other, and with what was acknowledged.
async fn check(store: &dyn Store, ledger: &Ledger) {
    let conversations = all_conversations(store).await;
    let there: BTreeSet<_> = conversations.iter().map(|conversation| conversation.id).collect();
    for id in &ledger.conversations {
        assert!(there.contains(id) || ledger.doomed.contains(id), "conversation {id} is lost");
    }
    for id in &ledger.deleted {
        assert!(!there.contains(id), "conversation {id} was deleted");
    }
    let unfinished: BTreeSet<_> =
        store.unfinished_turns().await.unwrap().into_iter().map(|turn| turn.id).collect();
    let (mut total, mut open) = (0, 0);
    for conversation in &conversations {
        let query =
            TurnQuery { conversation_id: Some(conversation.id), limit: usize::MAX, ..TurnQuery::default() };
        let turns = store.turns(query).await.unwrap().items;
        assert_eq!(turns.len(), usize::try_from(conversation.turn_count).unwrap());
        let events = store.events(conversation.id, 0, usize::MAX).await.unwrap();
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=conversation.last_sequence).collect::<Vec<_>>());
        let mut usage = Usage::default();
        for turn in &turns {
            check_turn(store, turn).await;
            let ended = turn.state.kind().is_terminal();
            assert_eq!(unfinished.contains(&turn.id), !ended);
            open += usize::from(!ended);
            usage += turn.usage;
        }
        assert_eq!(conversation.usage, usage);
        let of_turns: usize = events_of(store, &turns).await;
        assert_eq!(events.len(), of_turns);
        total += turns.len();
    }
    assert_eq!(unfinished.len(), open);
    assert_eq!(store.counts().await.unwrap().turns, total as u64);
    for (id, (conversation, request_id, finished)) in &ledger.turns {
        let turn = store.turn(*id).await.unwrap();
        if !there.contains(conversation) {
            assert_eq!(turn, None);
            continue;
        }
        let turn = turn.unwrap_or_else(|| panic!("turn {id} is lost"));
        if *finished {
            assert_eq!(turn.state, TurnState::Completed { text: format!("answer to {id}"), data_json: None });
        }
        let repeat = AcceptTurn { request_id: *request_id, ..request(*conversation) };
        assert_eq!(store.accept_turn(repeat).await.unwrap(), AcceptOutcome::Same(Box::new(turn)));
    }
}

/// A turn's record says what its events say.
async fn check_turn(store: &dyn Store, turn: &Turn) {
    let events = store.turn_events(turn.id, 0).await.unwrap();
    assert_eq!(events.first().unwrap().sequence, turn.first_sequence);
    assert!(matches!(events.first().unwrap().kind, EventKind::Accepted { .. }));
    assert_eq!(events.last().unwrap().sequence, turn.last_sequence);
    let count = |of: fn(&EventKind) -> bool| events.iter().filter(|event| of(&event.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::Started { .. })), turn.attempt as usize);
    assert_eq!(count(EventKind::is_terminal), usize::from(turn.state.kind().is_terminal()));
    assert!([0, 2].contains(&count(|kind| *kind == note())), "half of an append");
}

async fn events_of(store: &dyn Store, turns: &[Turn]) -> usize {
    let mut events = 0;
    for turn in turns {
        events += store.turn_events(turn.id, 0).await.unwrap().len();
    }
    events
}

/// Kills it after so many acknowledgements, for each number; 0 means while it opens.
fn survives(test: &str, options: &Options, kills: &[usize]) {
    if let Some(directory) = process::directory() {
        return work(&directory, options.clone());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for &kill_after in kills {
        let mut other = Other::running(test, dir.path());
        assert_eq!(other.told().as_deref(), Some("opening"));
        for _ in 0..kill_after {
            ledger.note(&other.told().unwrap());
        }
        other.kill();
        while let Some(line) = other.told() {
            ledger.note(&line);
        }
        let store = RedbStore::open(dir.path(), options.clone()).unwrap();
        runtime.block_on(check(&store, &ledger));
        runtime.block_on(crash_queries::check_queries(&store, &ledger.queries, &ledger.doomed));
        runtime.block_on(crash_queries::check_modules(&store, &ledger.modules));
        runtime.block_on(store.close());
    }
    assert!(ledger.turns.values().filter(|(_, _, finished)| *finished).count() > 100, "too little was tried");
    assert!(!ledger.deleted.is_empty(), "nothing was deleted");
    assert!(ledger.queries.len() > 20 && ledger.modules.len() == 2, "too little was asked or registered");
}

#[test]
fn what_was_acknowledged_survives_kills() {
    let kills = [0, 1, 0, 17, 350, 3, 0, 120, 71, 9, 233, 0, 42];
    survives("crash::what_was_acknowledged_survives_kills", &Options::default(), &kills);
}

#[test]
fn what_was_acknowledged_survives_kills_with_quick_repair() {
    let options = Options { quick_repair_from_bytes: 0, ..Options::default() };
    let kills = [0, 2, 150, 0, 31, 400, 5, 0, 77];
    survives("crash::what_was_acknowledged_survives_kills_with_quick_repair", &options, &kills);
}

/// What a kill leaves is the file as it is between two commits; so a copy of it is looked at.
#[tokio::test]
async fn the_size_of_the_file_decides_whether_a_kill_costs_a_long_repair() {
    for (quick_repair_from_bytes, expected) in [(0, false), (1, false), (1 << 40, true)] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { quick_repair_from_bytes, ..Options::default() };
        let store = RedbStore::open(dir.path(), options).unwrap();
        queued(&store, conversation(&store).await).await;
        let copy = dir.path().join("copy");
        std::fs::copy(dir.path().join("store.redb"), &copy).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(copy).unwrap();
        let repaired = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&repaired);
        redb::Builder::new()
            .set_repair_callback(move |_| flag.store(true, Ordering::SeqCst))
            .create_with_backend(redb::backends::FileBackend::new(file).unwrap())
            .unwrap();
        assert_eq!(repaired.load(Ordering::SeqCst), expected, "{quick_repair_from_bytes}");
    }
}
