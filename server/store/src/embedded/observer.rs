//! Who is told how the store fares.

use std::{fmt, sync::Arc, time::Duration};

/// One commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Operations that it carried.
    pub operations: usize,
    /// From its begin until it was on disk, or was not.
    pub took: Duration,
    /// Whether it is on disk.
    pub durable: bool,
}

type Told = dyn Fn(Commit) + Send + Sync;

/// Is told of each commit, on the writer's thread: it must not wait. The default hears nothing.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Told>>);

impl Observer {
    /// Calls `told` after each commit.
    pub fn new(told: impl Fn(Commit) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, commit: Commit) {
        if let Some(told) = &self.0 {
            told(commit);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}
