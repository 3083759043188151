//! Operations that nobody waits for: they board whatever batch is written next. Knows no record.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    store::{RedbStore, closed},
    tables::{Fault, Tables},
    writer::{self, Operation},
};
use crate::StoreError;

/// How long a rider waits for a batch before it asks for one of its own. Turns under load commit more often than that.
const RIDE: Duration = Duration::from_millis(10);

/// Where riders wait. Each caller has one at most, so that it does not grow by itself.
#[derive(Clone, Default)]
pub(crate) struct Riders(Arc<Mutex<Vec<Box<dyn Operation>>>>);

impl Riders {
    fn waiting(&self) -> MutexGuard<'_, Vec<Box<dyn Operation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an operation wait.
    fn put(&self, operation: Box<dyn Operation>) {
        self.waiting().push(operation);
    }

    /// Puts all that wait behind a batch.
    pub(crate) fn board(&self, batch: &mut Vec<Box<dyn Operation>>) {
        batch.append(&mut self.waiting());
    }
}

impl std::fmt::Debug for Riders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Riders").finish_non_exhaustive()
    }
}

impl RedbStore {
    /// As [`Self::write`], for what nobody waits for: it goes with the next commit, and causes one only after [`RIDE`].
    pub(super) async fn ride<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (operation, mut outcome) = writer::operation(act);
        self.riders.put(operation);
        match tokio::time::timeout(RIDE, &mut outcome).await {
            Ok(outcome) => outcome.map_err(|_| closed())?,
            Err(_) => {
                self.write(|_| Ok(())).await?;
                outcome.await.map_err(|_| closed())?
            }
        }
    }
}
