//! Tests with a disk that fails, or pages that lie: what the callers of the store are told.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use claude_comms_model::{ConversationId, ServerId};
use redb::{Builder, StorageBackend, backends::InMemoryBackend};
use uuid::Uuid;

use super::{
    Options, RedbStore,
    directory::DataDirectory,
    open::{Parts, prepare},
    schema,
    store::Opened,
    transcripts::Transcripts,
};
use crate::{NewConversation, RegisterModule, Store, StoreError};

const WELL: u8 = 0;
const SYNC_FAILS: u8 = 1;
const SYNC_PANICS: u8 = 2;

/// A disk in memory with a switch.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    switch: Arc<AtomicU8>,
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.memory.set_len(length)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        match self.switch.load(Ordering::SeqCst) {
            SYNC_FAILS => Err(io::Error::other("the disk is gone")),
            SYNC_PANICS => panic!("the disk is mad"),
            _ => self.memory.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.memory.write(offset, data)
    }
}

fn store_on(switch: &Arc<AtomicU8>) -> (RedbStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let directory = DataDirectory::claim(dir.path()).unwrap();
    let transcripts = Transcripts::open(directory.transcripts()).unwrap();
    let disk = Disk { memory: InMemoryBackend::new(), switch: Arc::clone(switch) };
    let database = Builder::new().create_with_backend(disk).unwrap();
    schema::found(&database, ServerId(Uuid::now_v7())).unwrap();
    let options = Options::default();
    let state = prepare(&database, &options, &transcripts).unwrap();
    let file = dir.path().join("none");
    let parts = Parts { file, opened: Opened { database, _directory: directory }, transcripts, state };
    (RedbStore::start(parts, &options).unwrap(), dir)
}

fn new_conversation() -> NewConversation {
    NewConversation {
        id: ConversationId(Uuid::now_v7()),
        title: String::new(),
        system_prompt: String::new(),
        model: None,
        labels: BTreeMap::new(),
        source_module: None,
        target_module: None,
        scene: None,
    }
}

/// After a commit that failed nobody can say what is on disk, so that later writes must not build on it, also when
/// the disk is well again.
async fn unknown_then_refused(fault: u8) {
    let switch = Arc::new(AtomicU8::new(WELL));
    let (store, _dir) = store_on(&switch);
    store.ready().await.unwrap();
    store.probe_write().await.unwrap();
    let first = store.create_conversation(new_conversation()).await.unwrap();
    switch.store(fault, Ordering::SeqCst);
    let outcome = store.create_conversation(new_conversation()).await;
    assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
    switch.store(WELL, Ordering::SeqCst);
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))), "it says so without a write");
    assert!(matches!(store.probe_write().await, Err(StoreError::Unavailable(_))));
    let outcome = store.create_conversation(new_conversation()).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let module = RegisterModule {
        name: "billing".to_owned(),
        version: "1.0.0".to_owned(),
        descriptor: "{}".to_owned(),
        digest: String::new(),
        path: String::new(),
        force: false,
        must_exist: false,
        expected_digest: None,
    };
    // The first use of its tables.
    let outcome = store.register_module(module).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let outcome = store.delete_conversation(first.id).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    store.close().await;
    let outcome = store.conversation(first.id).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_failed_sync_leaves_the_outcome_unknown_and_ends_writing() {
    unknown_then_refused(SYNC_FAILS).await;
}

#[tokio::test]
async fn a_panic_below_leaves_the_outcome_unknown_and_ends_writing() {
    unknown_then_refused(SYNC_PANICS).await;
}
