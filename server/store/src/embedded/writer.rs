//! The one thread that writes: it takes what waits, commits it as one transaction, then answers.
//!
//! It never lingers for more: while one commit syncs, the next batch gathers. The order of operations is the order
//! of the channel, and each sees those before it in its batch. After a failure of the file it refuses everything:
//! what is on disk is known again only after reopening.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use redb::Database;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::{
    observer::{Commit, Observer},
    riders::Riders,
    store::Shared,
    tables::{Fault, Tables, WriterState},
};
use crate::StoreError;

/// What became of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is on disk, or there was nothing to write.
    Durable,
    /// Nothing of it was written.
    Void(String),
    /// All of it was written or nothing.
    Unknown(String),
}

/// An operation that waits for the writer.
pub(crate) trait Operation: Send {
    /// Carries it out in the transaction; its refusal is its outcome, the file's failure the batch's.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;
    /// Tells the caller.
    fn answer(self: Box<Self>, fate: Fate);
}

/// A closure as an operation.
struct Call<T, F> {
    act: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

/// Makes an operation of a closure, and where its outcome will arrive.
pub(crate) fn operation<T, F>(act: F) -> (Box<dyn Operation>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
{
    let (reply, outcome) = oneshot::channel();
    (Box::new(Call { act: Some(act), outcome: None, reply }), outcome)
}

impl<T, F> Operation for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        let Some(act) = self.act.take() else { return Ok(()) };
        self.outcome = Some(match act(tables) {
            Ok(value) => Ok(value),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Broken(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, fate: Fate) {
        let outcome = match (fate, self.outcome) {
            (Fate::Durable, Some(outcome)) => outcome,
            (Fate::Unknown(why), Some(Ok(_))) => Err(StoreError::Unknown(io::Error::other(why))),
            // A refusal may rest on a batch mate that is not there now, so it is not the answer.
            (Fate::Void(why) | Fate::Unknown(why), _) => Err(StoreError::Unavailable(why)),
            (Fate::Durable, None) => Err(StoreError::Unavailable("the operation was not carried out".into())),
        };
        // A caller that no longer waits is no error: what it asked for is done.
        drop(self.reply.send(outcome));
    }
}

/// The loop of the writer thread.
#[derive(Debug)]
pub(crate) struct WriterTask {
    /// Holds the database.
    pub(crate) shared: Arc<Shared>,
    /// What goes with whatever is written.
    pub(crate) riders: Riders,
    /// What the operations see.
    pub(crate) state: WriterState,
    /// Most operations of one transaction.
    pub(crate) max_batch: usize,
    /// See [`super::Options::quick_repair_from_bytes`].
    pub(crate) quick_repair_from_bytes: u64,
    /// The database's file.
    pub(crate) file: PathBuf,
    /// Told of each commit.
    pub(crate) observer: Observer,
}

impl WriterTask {
    /// Runs until every sender is gone and all that was sent is answered.
    pub(crate) fn run(mut self, mut operations: mpsc::Receiver<Box<dyn Operation>>) {
        let shared = Arc::clone(&self.shared);
        let mut broken = None::<String>;
        let mut buffer = Vec::new();
        let mut batch = Vec::with_capacity(self.max_batch);
        while operations.blocking_recv_many(&mut batch, self.max_batch) > 0 {
            self.riders.board(&mut batch);
            let fate = match &broken {
                Some(why) => Fate::Void(why.clone()),
                None => shared
                    .with_database(|database| {
                        // A panic below is redb's about a damaged file; what reached the disk is not known then.
                        catch_unwind(AssertUnwindSafe(|| self.write(database, &mut batch, &mut buffer)))
                            .unwrap_or_else(|_| Fate::Unknown("the store's file is damaged".to_owned()))
                    })
                    .unwrap_or_else(|| Fate::Void("it is closed".to_owned())),
            };
            if let (None, Fate::Void(why) | Fate::Unknown(why)) = (&broken, &fate) {
                tracing::error!(error = why, "store refuses writes until it is opened anew");
                broken = Some(format!("an earlier write failed: {why}"));
            }
            for operation in batch.drain(..) {
                operation.answer(fate.clone());
            }
        }
    }

    fn write(&mut self, database: &Database, batch: &mut [Box<dyn Operation>], buffer: &mut Vec<u8>) -> Fate {
        let begin = Instant::now();
        let void = |error: redb::Error| Fate::Void(error.to_string());
        let mut transaction = match database.begin_write() {
            Ok(transaction) => transaction,
            Err(error) => return void(error.into()),
        };
        let length = std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        transaction.set_quick_repair(length >= self.quick_repair_from_bytes);
        let mut tables = Tables::new(&transaction, &mut self.state, buffer);
        let done = batch.iter_mut().try_for_each(|operation| operation.run(&mut tables));
        let wrote = tables.wrote;
        drop(tables);
        match done.map(|()| wrote) {
            Ok(true) => {
                let committed = transaction.commit();
                let durable = committed.is_ok();
                self.observer.tell(Commit { operations: batch.len(), took: begin.elapsed(), durable });
                match committed {
                    Ok(()) => Fate::Durable,
                    Err(error) => Fate::Unknown(error.to_string()),
                }
            }
            Ok(false) => match transaction.abort() {
                Ok(()) => Fate::Durable,
                Err(error) => void(error.into()),
            },
            Err(error) => void(error),
        }
    }
}

/// The span of a write, where it belongs to one that is traced. Not asked with `span_enabled!`: the log's filter remembers
/// what it was asked last, and would drop the thread's next line.
pub(super) fn span() -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(target: "otel::claude_comms", "store.write")
}
