//! What operators do to running instances, and to the server.

use std::time::Duration;

use super::Repeat;
use crate::{Client, Error, v1};

impl Client {
    /// Pauses an instance, or has it pause once its turn has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::FailedPrecondition`] when it is stopped; others by the server's reason.
    pub async fn pause_instance(&self, id: impl Into<String>) -> Result<v1::Instance, Error> {
        let request = v1::PauseInstanceRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.pause_instance(request).await }
        })
        .await
    }

    /// Takes a pause back; what waited runs.
    ///
    /// # Errors
    /// As [`Client::pause_instance`].
    pub async fn resume_instance(&self, id: impl Into<String>) -> Result<v1::Instance, Error> {
        let request = v1::ResumeInstanceRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.resume_instance(request).await }
        })
        .await
    }

    /// Ends the turn that an instance runs and returns the instance after that. The process stays.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::FailedPrecondition`] when it runs no turn or is stopped; others by the server's reason.
    pub async fn interrupt_instance(&self, id: impl Into<String>) -> Result<v1::Instance, Error> {
        let request = v1::InterruptInstanceRequest { id: id.into() };
        // Asked twice it would end two turns.
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.interrupt_instance(request).await }
        })
        .await
    }

    /// Has the server take no new turns, let the running ones end, and end itself. Returns at once, with the server as it
    /// is then. Running turns may go on for `grace`; without one, as long as the server's `pool.drain_timeout` says.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn drain(&self, grace: Option<Duration>) -> Result<v1::ServerInfo, Error> {
        // A span that the contract cannot hold is as good as its longest.
        let longest = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };
        let timeout = grace.map(|grace| prost_types::Duration::try_from(grace).unwrap_or(longest));
        self.unary(Repeat::Always, || {
            let mut service = self.diagnostics();
            async move { service.drain(v1::DrainRequest { timeout }).await }
        })
        .await
    }
}
