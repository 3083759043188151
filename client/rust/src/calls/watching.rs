//! What operators watch.

use crate::{Client, Error, MonitorStream, PoolStream, v1};

impl Client {
    /// Watches one instance: its durable events after a sequence, then what happens. Returns once the server has taken the
    /// call.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn monitor_instance(
        &self,
        request: v1::MonitorInstanceRequest,
    ) -> Result<MonitorStream, Error> {
        MonitorStream::open(self.clone(), request).await
    }

    /// Watches all instances: a full snapshot first, then what changes.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn watch_pool(&self) -> Result<PoolStream, Error> {
        PoolStream::open(self.clone()).await
    }
}
