//! How fast the store is on this machine: commits by producers, the file's size, and reopening after a kill.
//!
//! `cargo run --release -p claude-comms-store --example commit_rate [directory] [turns]`. Needs a directory on the
//! disk to measure (default: the working directory); removes what it made.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use claude_comms_model::{
    Asked, ConversationId, InstanceId, ModuleRef, RequestId, Transition, Turn, TurnId, Usage,
};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, FinishTurn, Lease, NewConversation, Options, RedbStore, RequestScope, Scene,
    StartTurn, Store,
};
use uuid::Uuid;

const TURNS_OF_A_CONVERSATION: usize = 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let base = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let turns = arguments.next().map_or(100_000, |text| text.parse().expect("a number of turns"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let directory = tempfile::tempdir_in(&base).expect("a directory to measure in");
    println!("fdatasync of 4 KiB: {}", floor(directory.path()));
    runtime.block_on(async {
        for quick_repair in [false, true] {
            for (producers, per_producer) in [(1, 3000), (8, 1500), (64, 800)] {
                let directory = tempfile::tempdir_in(&base).expect("a directory to measure in");
                let store =
                    Arc::new(RedbStore::open(directory.path(), options(quick_repair)).expect("a new store"));
                let rate = produce(&store, producers, per_producer).await;
                println!("quick_repair {quick_repair}: {producers:>2} producers: {rate}");
            }
        }
        let directory = tempfile::tempdir_in(&base).expect("a directory to measure in");
        let store = RedbStore::open(directory.path(), options(false)).expect("a new store");
        println!("quick_repair false: queries of modules: {}", queries(&store, 1000).await);
        for quick_repair in [false, true] {
            let directory = tempfile::tempdir_in(&base).expect("a directory to measure in");
            big_file(directory.path(), turns, quick_repair).await;
        }
    });
}

fn options(quick_repair: bool) -> Options {
    let quick_repair_from_bytes = if quick_repair { 0 } else { u64::MAX };
    Options { quick_repair_from_bytes, ..Options::default() }
}

/// The least a durable write costs here.
fn floor(directory: &Path) -> Latencies {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(directory.join("floor")).expect("a file");
    file.set_len(1 << 24).expect("space");
    let mut took = Vec::new();
    for block in 0..2000_u64 {
        let begin = Instant::now();
        file.write_all_at(&[1; 4096], block * 4096).expect("a write");
        file.sync_data().expect("a sync");
        took.push(begin.elapsed());
    }
    Latencies::of(took)
}

/// Turns of so many producers, each accepted (and started), then finished.
async fn produce(store: &Arc<RedbStore>, producers: usize, per_producer: usize) -> String {
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..producers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let (mut accepts, mut finishes) = (Vec::new(), Vec::new());
            let mut conversation = ConversationId(Uuid::nil());
            for count in 0..per_producer {
                if count % TURNS_OF_A_CONVERSATION == 0 {
                    conversation = create(&*store).await;
                }
                let begin = Instant::now();
                let (turn, lease) = accept(&*store, conversation).await;
                accepts.push(begin.elapsed());
                let begin = Instant::now();
                finish(&*store, &turn, lease).await;
                finishes.push(begin.elapsed());
            }
            (accepts, finishes)
        });
    }
    let (mut accepts, mut finishes) = (Vec::new(), Vec::new());
    while let Some(times) = tasks.join_next().await {
        let (more_accepts, more_finishes) = times.expect("a producer");
        accepts.extend(more_accepts);
        finishes.extend(more_finishes);
    }
    let turns = (producers * per_producer) as f64 / begin.elapsed().as_secs_f64();
    format!("{turns:.0} turns/s; accept {}; finish {}", Latencies::of(accepts), Latencies::of(finishes))
}

/// Queries one after another: a conversation between modules and its first turn in one commit.
async fn queries(store: &RedbStore, count: usize) -> String {
    let (mut queries, mut accepts) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let module = |name: &str| ModuleRef {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            revision: 1,
            origin: "registered".to_owned(),
        };
        let new = NewConversation {
            system_prompt: "s".repeat(8000),
            source_module: Some(module("shop")),
            target_module: Some(module("billing")),
            scene: Some(Scene { digest: "0".repeat(64), json: "j".repeat(40_000) }),
            ..new_conversation()
        };
        let asked = Asked { message: "m".repeat(2000), ..Asked::default() };
        let query = AcceptTurn {
            new_conversation: Some(Box::new(new.clone())),
            scope: RequestScope::Pair(17),
            asked: Some(Box::new(asked)),
            ..request(new.id)
        };
        let begin = Instant::now();
        store.accept_turn(query).await.expect("an outcome");
        queries.push(begin.elapsed());
        // For comparison: a turn of a conversation that is there.
        let conversation = create(store).await;
        let begin = Instant::now();
        accept(store, conversation).await;
        accepts.push(begin.elapsed());
    }
    format!("query {}; plain accept {}", Latencies::of(queries), Latencies::of(accepts))
}

/// Fills a store, then opens copies of its file as a kill and as an orderly end leave them.
async fn big_file(directory: &Path, turns: usize, quick_repair: bool) {
    let options = options(quick_repair);
    let home = directory.join("home");
    let store = Arc::new(RedbStore::open(&home, options.clone()).expect("a new store"));
    let rate = produce(&store, 64, turns.div_ceil(64)).await;
    let file = home.join("store.redb");
    let length = std::fs::metadata(&file).expect("the store's file").len() / 1_000_000;
    println!("quick_repair {quick_repair}: {turns} turns: {length} MB; {rate}");
    let killed = directory.join("killed");
    std::fs::create_dir(&killed).expect("a directory");
    // Nothing is written now, so the copy is what a SIGKILL would leave.
    std::fs::copy(&file, killed.join("store.redb")).expect("a copy");
    // Else the first commit after opening would wait for the copy's pages.
    let copy = std::fs::File::open(killed.join("store.redb")).expect("the copy");
    copy.sync_all().expect("the copy on disk");
    store.close().await;
    for (what, path) in [("a kill", &killed), ("an orderly end", &home)] {
        let begin = Instant::now();
        let store = RedbStore::open(path, options.clone()).expect("the store again");
        println!("quick_repair {quick_repair}: open after {what}: {:.1?}", begin.elapsed());
        store.close().await;
    }
}

async fn create(store: &dyn Store) -> ConversationId {
    store.create_conversation(new_conversation()).await.expect("a conversation").id
}

fn new_conversation() -> NewConversation {
    NewConversation {
        id: ConversationId(Uuid::now_v7()),
        title: "measured".to_owned(),
        system_prompt: String::new(),
        model: None,
        labels: BTreeMap::new(),
        source_module: None,
        target_module: None,
        scene: None,
    }
}

fn request(conversation_id: ConversationId) -> AcceptTurn {
    let start = StartTurn {
        instance_id: InstanceId(Uuid::now_v7()),
        session_id: Uuid::new_v4(),
        user_uuid: Uuid::new_v4(),
    };
    AcceptTurn {
        turn_id: TurnId(Uuid::now_v7()),
        conversation_id,
        new_conversation: None,
        request_id: RequestId(Uuid::new_v4()),
        scope: RequestScope::Conversation(conversation_id),
        seen_scene_revision: 0,
        payload_hash: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".to_owned(),
        prompt: "p".repeat(200),
        asked: None,
        timeout_micros: 600_000_000,
        target_instance: None,
        start: Some(start),
    }
}

async fn accept(store: &dyn Store, conversation_id: ConversationId) -> (Turn, Lease) {
    match store.accept_turn(request(conversation_id)).await.expect("an outcome") {
        AcceptOutcome::Accepted(accepted) => (accepted.turn, accepted.lease.expect("it was started")),
        other => panic!("not accepted: {other:?}"),
    }
}

async fn finish(store: &dyn Store, turn: &Turn, lease: Lease) {
    let finish = FinishTurn {
        turn_id: turn.id,
        lease: Some(lease),
        attempt: turn.attempt,
        transition: Transition::Complete { text: "a".repeat(500), data_json: None },
        usage: Usage { input_tokens: 100, output_tokens: 120, ..Usage::default() },
        cost_usd: 0.01,
        first_token_time: Some(turn.create_time),
        in_context: true,
        session_id: turn.claude.session_id,
        last_assistant_uuid: Some(Uuid::new_v4().to_string()),
    };
    store.finish_turn(finish).await.expect("an end");
}

struct Latencies {
    half: Duration,
    nearly_all: Duration,
}

impl Latencies {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        Self { half: at(0.5), nearly_all: at(0.99) }
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.2?} p99 {:.2?}", self.half, self.nearly_all)
    }
}
