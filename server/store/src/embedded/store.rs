//! The store's handle: sends writes to the writer, reads on its own.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread::JoinHandle,
};

use async_trait::async_trait;
use claude_comms_model::{
    Conversation, ConversationId, Event, EventKind, Instance, InstanceId, LogEvent, ModuleRecord,
    NewLogEvent, Page, RequestId, TokenRecord, Turn, TurnId,
};
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::mpsc;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    conversations,
    directory::DataDirectory,
    instance_logs, instances, lists, modules,
    open::{self, Options, Parts},
    reading::{self, Trouble},
    riders::Riders,
    tables::{Fault, Tables},
    tokens,
    transcripts::Transcripts,
    turns,
    writer::{self, Operation, WriterTask},
};
use crate::{
    AcceptOutcome, AcceptTurn, ConversationQuery, Counts, FinishTurn, Finished, Lease, ModuleRevisionInfo,
    NewConversation, OpenError, RegisterModule, RegisterOutcome, RequestScope, ServerIdentity, StartTurn,
    Started, Store, StoreError, TokenOutcome, TokenUse, TurnQuery, UpgradeConversation, UpgradeOutcome,
};

/// A store in one file of a data directory, for one server at a time.
#[derive(Debug)]
pub struct RedbStore {
    shared: Arc<Shared>,
    /// `None` once it is closed.
    sender: Mutex<Option<mpsc::Sender<Box<dyn Operation>>>>,
    pub(super) riders: Riders,
    server: ServerIdentity,
}

/// What the handle, the writer and reads on other threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `None` once it is closed. Held for reading during every use, so that closing waits for the last one.
    opened: RwLock<Option<Opened>>,
    transcripts: Transcripts,
    /// `None` once it is joined.
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The open file and the right to it. The order matters: the file is closed before the lock is given back.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) _directory: DataDirectory,
}

impl RedbStore {
    /// Opens the store of a data directory, or makes it. Blocking: after a kill it reads the whole file, if
    /// that is smaller than [`Options::quick_repair_from_bytes`].
    ///
    /// # Errors
    /// [`OpenError`]; what is in the directory is then as it was.
    pub fn open(data_dir: &Path, options: Options) -> Result<Self, OpenError> {
        let parts = open::open(data_dir, &options)?;
        Self::start(parts, &options)
            .map_err(|source| OpenError::Unusable { path: data_dir.to_owned(), source })
    }

    /// Starts the writer of an open database.
    pub(crate) fn start(parts: Parts, options: &Options) -> std::io::Result<Self> {
        let server = parts.state.server;
        let shared = Arc::new(Shared {
            opened: RwLock::new(Some(parts.opened)),
            transcripts: parts.transcripts,
            writer: Mutex::new(None),
        });
        let max_batch = options.max_batch.max(1);
        let (sender, operations) = mpsc::channel(max_batch);
        let riders = Riders::default();
        let task = WriterTask {
            shared: Arc::clone(&shared),
            riders: riders.clone(),
            state: parts.state,
            max_batch,
            quick_repair_from_bytes: options.quick_repair_from_bytes,
            file: parts.file,
            observer: options.observer.clone(),
        };
        let writer = std::thread::Builder::new().name("store-writer".to_owned());
        *lock(&shared.writer) = Some(writer.spawn(move || task.run(operations))?);
        Ok(Self { shared, sender: Mutex::new(Some(sender)), riders, server })
    }

    /// Sends an operation to the writer and waits until it is durable or refused.
    ///
    /// # Cancel safety
    /// Dropped before it was sent, nothing happens; after that it is carried out and nobody is told.
    pub(super) async fn write<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let sender = lock(&self.sender).clone().ok_or_else(closed)?;
        let (operation, outcome) = writer::operation(act);
        let written = async {
            sender.send(operation).await.map_err(|_| closed())?;
            drop(sender);
            outcome.await.map_err(|_| closed())?
        };
        written.instrument(writer::span()).await
    }

    /// A read of a few rows, at once: it takes microseconds.
    fn point<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.shared.read(read)
    }

    /// A read of many rows, on a thread that may block.
    async fn scan<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, Trouble> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || shared.read(read)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("the server is shutting down".to_owned())),
        }
    }
}

impl Shared {
    /// Uses the database; `None` once it is closed.
    pub(crate) fn with_database<T>(&self, act: impl FnOnce(&Database) -> T) -> Option<T> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().map(|opened| act(&opened.database))
    }

    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.with_database(|database| {
            // redb trusts its pages and may panic on damaged ones; the reader gets an error instead.
            catch_unwind(AssertUnwindSafe(|| {
                let snapshot = database.begin_read().map_err(Trouble::from)?;
                read(&snapshot).map_err(StoreError::from)
            }))
            .unwrap_or_else(|_| Err(StoreError::Corrupt("its pages contradict each other".to_owned())))
        })
        .unwrap_or_else(|| Err(closed()))
    }

    /// Waits for the writer, then for the readers, then closes the file and gives the directory back.
    fn close(&self) {
        // Held while joining, so that whoever else closes waits too.
        let mut writer = lock(&self.writer);
        if let Some(thread) = writer.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
        let opened = self.opened.write().unwrap_or_else(PoisonError::into_inner).take();
        if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
            tracing::error!("the store's file could not be closed in order");
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        drop(lock(&self.sender).take());
        self.shared.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

#[async_trait]
impl Store for RedbStore {
    fn server(&self) -> ServerIdentity {
        self.server
    }

    async fn create_conversation(&self, new: NewConversation) -> Result<Conversation, StoreError> {
        self.write(|tables| conversations::create(tables, new)).await
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.point(|snapshot| reading::conversation(snapshot, id))
    }

    async fn conversations(&self, query: ConversationQuery) -> Result<Page<Conversation>, StoreError> {
        self.scan(move |snapshot| lists::conversations(snapshot, &query)).await
    }

    async fn delete_conversation(&self, id: ConversationId) -> Result<bool, StoreError> {
        let deleted = self.write(move |tables| conversations::delete(tables, id)).await?;
        if deleted && let Err(error) = self.shared.transcripts.remove(id) {
            // The next opening tries again.
            tracing::warn!(conversation.id = %id, %error, "transcript of a deleted conversation is still there");
        }
        Ok(deleted)
    }

    async fn upgrade_conversation(&self, upgrade: UpgradeConversation) -> Result<UpgradeOutcome, StoreError> {
        self.write(|tables| conversations::upgrade(tables, upgrade)).await
    }

    async fn scene(&self, digest: String) -> Result<Option<String>, StoreError> {
        self.point(|snapshot| reading::scene(snapshot, &digest))
    }

    async fn accept_turn(&self, accept: AcceptTurn) -> Result<AcceptOutcome, StoreError> {
        self.write(|tables| turns::accept(tables, accept)).await
    }

    async fn start_turn(&self, turn_id: TurnId, start: StartTurn) -> Result<Started, StoreError> {
        self.write(move |tables| turns::start(tables, turn_id, start)).await
    }

    async fn append(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        kinds: Vec<EventKind>,
    ) -> Result<Vec<Event>, StoreError> {
        self.write(move |tables| turns::append(tables, lease, turn_id, attempt, kinds)).await
    }

    async fn requeue_turn(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        kind: EventKind,
    ) -> Result<(Turn, Event), StoreError> {
        self.write(move |tables| turns::requeue(tables, lease, turn_id, attempt, kind)).await
    }

    async fn repair_turn(
        &self,
        lease: Lease,
        turn_id: TurnId,
        attempt: u32,
        user_uuid: Uuid,
    ) -> Result<(Turn, Event), StoreError> {
        self.write(move |tables| turns::repair(tables, lease, turn_id, attempt, user_uuid)).await
    }

    async fn finish_turn(&self, finish: FinishTurn) -> Result<Finished, StoreError> {
        self.write(|tables| turns::finish(tables, finish)).await
    }

    async fn turn(&self, id: TurnId) -> Result<Option<Turn>, StoreError> {
        self.point(|snapshot| reading::turn(snapshot, id))
    }

    async fn turn_of_request(
        &self,
        scope: RequestScope,
        request_id: RequestId,
    ) -> Result<Option<Turn>, StoreError> {
        self.point(|snapshot| reading::turn_of_request(snapshot, scope, request_id))
    }

    async fn turns(&self, query: TurnQuery) -> Result<Page<Turn>, StoreError> {
        self.scan(move |snapshot| lists::turns(snapshot, &query)).await
    }

    async fn turn_events(&self, id: TurnId, after: u64) -> Result<Vec<Event>, StoreError> {
        self.scan(move |snapshot| reading::turn_events(snapshot, id, after)).await
    }

    async fn events(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.scan(move |snapshot| reading::events(snapshot, id, after, limit)).await
    }

    async fn unfinished_turns(&self) -> Result<Vec<Turn>, StoreError> {
        let server = self.server.id;
        self.scan(move |snapshot| reading::unfinished(snapshot, server)).await
    }

    async fn put_instance(&self, instance: Instance) -> Result<(), StoreError> {
        self.write(|tables| instances::put(tables, instance)).await
    }

    async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        let server = self.server.id;
        self.scan(move |snapshot| reading::instances(snapshot, server)).await
    }

    async fn log_instances(&self, events: Vec<NewLogEvent>) -> Result<Vec<LogEvent>, StoreError> {
        self.ride(|tables| instance_logs::append(tables, events)).await
    }

    async fn instance_log(
        &self,
        id: InstanceId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogEvent>, StoreError> {
        self.scan(move |snapshot| instance_logs::read(snapshot, id, after, limit)).await
    }

    async fn forget_instance_logs(&self, ids: Vec<InstanceId>) -> Result<(), StoreError> {
        self.ride(move |tables| ids.into_iter().try_for_each(|id| instance_logs::remove(tables, id))).await
    }

    async fn settle_instance_logs(&self) -> Result<BTreeMap<InstanceId, u64>, StoreError> {
        self.write(instance_logs::settle).await
    }

    async fn register_module(&self, module: RegisterModule) -> Result<RegisterOutcome, StoreError> {
        self.write(|tables| modules::register(tables, module)).await
    }

    async fn unregister_module(&self, name: String) -> Result<Option<ModuleRecord>, StoreError> {
        self.write(move |tables| modules::unregister(tables, &name)).await
    }

    async fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError> {
        self.scan(modules::current).await
    }

    async fn module_revisions(
        &self,
        name: String,
        limit: usize,
    ) -> Result<Vec<ModuleRevisionInfo>, StoreError> {
        self.scan(move |snapshot| modules::revisions(snapshot, &name, limit)).await
    }

    async fn module_revision(
        &self,
        name: String,
        version: String,
        revision: Option<u32>,
    ) -> Result<Option<ModuleRecord>, StoreError> {
        self.scan(move |snapshot| modules::revision(snapshot, &name, &version, revision)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        self.write(|tables| tables.probe()).await
    }

    async fn create_token(&self, token: TokenRecord) -> Result<TokenOutcome, StoreError> {
        self.write(|tables| tokens::create(tables, token)).await
    }

    async fn revoke_token(&self, name: String) -> Result<Option<TokenRecord>, StoreError> {
        self.write(move |tables| tokens::revoke(tables, &name)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.scan(tokens::all).await
    }

    async fn use_tokens(&self, uses: Vec<TokenUse>) -> Result<(), StoreError> {
        self.write(move |tables| tokens::used(tables, uses)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.point(reading::counts)
    }

    fn transcript(&self, id: ConversationId) -> PathBuf {
        self.shared.transcripts.path(id)
    }

    fn keep_transcript(&self, id: ConversationId, session_file: &Path) -> std::io::Result<()> {
        self.shared.transcripts.keep(id, session_file)
    }

    async fn close(&self) {
        drop(lock(&self.sender).take());
        let shared = Arc::clone(&self.shared);
        // Ends early only with the runtime itself; dropping the store then does the same.
        drop(tokio::task::spawn_blocking(move || shared.close()).await);
    }
}
