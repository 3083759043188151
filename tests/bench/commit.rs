//! One durable commit of the same run, in which the aims are stated: the server's own store, with nothing before it.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use claude_comms_model::{ConversationId, InstanceId, RequestId, Transition, TurnId, Usage};
use claude_comms_store::{
    AcceptOutcome, AcceptTurn, FinishTurn, NewConversation, Options, RedbStore, RequestScope, StartTurn,
    Store as _,
};
use claude_comms_tests::world::World;
use uuid::Uuid;

const FLOOR_WRITES: u64 = 500;
const BLOCK_BYTES: u64 = 4096;

/// A store of its own on the same disk as the server's.
#[derive(Debug)]
pub(crate) struct Commits {
    store: RedbStore,
    conversation: ConversationId,
    world: World,
}

impl Commits {
    pub(crate) async fn open() -> Self {
        let world = World::new();
        let store = RedbStore::open(&world.data_dir(), Options::default()).expect("a new store");
        let new = NewConversation {
            id: ConversationId(Uuid::now_v7()),
            title: String::new(),
            system_prompt: String::new(),
            model: None,
            labels: BTreeMap::new(),
            source_module: None,
            target_module: None,
            scene: None,
        };
        let conversation = store.create_conversation(new).await.expect("a conversation").id;
        Self { store, conversation, world }
    }

    /// A turn's two commits, one after the other.
    pub(crate) async fn turn(&self) -> [Duration; 2] {
        let start = StartTurn {
            instance_id: InstanceId(Uuid::now_v7()),
            session_id: Uuid::new_v4(),
            user_uuid: Uuid::new_v4(),
        };
        let accept = AcceptTurn {
            turn_id: TurnId(Uuid::now_v7()),
            conversation_id: self.conversation,
            new_conversation: None,
            request_id: RequestId(Uuid::new_v4()),
            scope: RequestScope::Conversation(self.conversation),
            seen_scene_revision: 0,
            payload_hash: "0".repeat(64),
            prompt: "ping".to_owned(),
            asked: None,
            timeout_micros: 600_000_000,
            target_instance: None,
            start: Some(start),
        };
        let begin = Instant::now();
        let accepted = self.store.accept_turn(accept).await.expect("a commit");
        let first = begin.elapsed();
        let AcceptOutcome::Accepted(accepted) = accepted else { panic!("a new turn is accepted") };
        let finish = FinishTurn {
            turn_id: accepted.turn.id,
            lease: accepted.lease,
            attempt: accepted.turn.attempt,
            transition: Transition::Complete { text: "ping".to_owned(), data_json: None },
            usage: Usage::default(),
            cost_usd: 0.0,
            first_token_time: Some(accepted.turn.create_time),
            in_context: true,
            session_id: accepted.turn.claude.session_id,
            last_assistant_uuid: Some(Uuid::new_v4().to_string()),
        };
        let begin = Instant::now();
        self.store.finish_turn(finish).await.expect("a commit");
        [first, begin.elapsed()]
    }

    /// What the disk alone takes: 4 KiB and fdatasync, in a file that has its space; the median.
    pub(crate) fn floor(&self) -> Duration {
        let file = File::create(self.world.root().join("floor")).expect("our own directory");
        file.set_len(FLOOR_WRITES * BLOCK_BYTES).expect("the disk has space");
        let mut times: Vec<Duration> = (0..FLOOR_WRITES)
            .map(|block| {
                let begin = Instant::now();
                file.write_all_at(&[1; BLOCK_BYTES as usize], block * BLOCK_BYTES).expect("our own file");
                file.sync_data().expect("our own file");
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}
