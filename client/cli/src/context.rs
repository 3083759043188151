//! What every client command works with: the client, the screen, and what may end its waiting.

use std::{future::Future, time::Duration};

use claude_comms_client::{Client, Error};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use crate::{
    args::Global,
    exit::{Exit, Failure},
    output::Ui,
};

/// A client command's surroundings.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) client: Client,
    pub(crate) patience: Patience,
}

/// What ends waiting: Ctrl-C and `--timeout`.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Option<(Duration, Instant)>,
    interrupts: Signal,
}

impl<'a> Context<'a> {
    /// Makes the client that the options and the environment describe. Must run within the runtime.
    pub(crate) fn new(global: &Global, ui: &'a Ui) -> Result<Self, Failure> {
        let mut builder = Client::builder();
        if let Some(server) = &global.server {
            builder = builder.endpoint(server);
        }
        if let Some(file) = &global.token_file {
            builder = builder.token_file(file);
        }
        if let Some(file) = &global.tls_ca {
            builder = builder.tls_ca(file);
        }
        if let Some(file) = &global.tls_cert {
            builder = builder.tls_cert(file);
        }
        if let Some(file) = &global.tls_key {
            builder = builder.tls_key(file);
        }
        let client = builder.build()?;
        let token = if client.has_token() { "with" } else { "without" };
        ui.detail(&format!("server {}, {token} a token", client.endpoint()));
        Ok(Self { ui, client, patience: Patience::new(global.timeout)? })
    }
}

impl Patience {
    pub(crate) fn new(limit: Option<Duration>) -> Result<Self, Failure> {
        let interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new(Exit::Failed, format!("listen to Ctrl-C: {error}")))?;
        // A limit beyond what the clock can hold is none.
        let limit = limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?)));
        Ok(Self { limit, interrupts })
    }

    /// Waits for a call, for Ctrl-C, or for `--timeout`, whichever is first.
    pub(crate) async fn wait<T>(
        &mut self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let limit = self.limit;
        tokio::select! {
            result = call => Ok(result?),
            () = self.interrupted() => Err(Failure::new(Exit::Interrupted, "")),
            () = expired(limit) => Err(timed_out(limit)),
        }
    }

    /// Waits for something of this program's own as for a call.
    pub(crate) async fn wait_here<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.limit;
        tokio::select! {
            result = work => result,
            () = self.interrupted() => Err(Failure::new(Exit::Interrupted, "")),
            () = expired(limit) => Err(timed_out(limit)),
        }
    }

    /// Resolves at the next Ctrl-C.
    pub(crate) async fn interrupted(&mut self) {
        if self.interrupts.recv().await.is_none() {
            std::future::pending().await
        }
    }

    /// When `--timeout` passes, to be waited for beside other things with [`expired`].
    pub(crate) fn limit(&self) -> Option<(Duration, Instant)> {
        self.limit
    }
}

/// Resolves when the limit passes; never without one.
pub(crate) async fn expired(limit: Option<(Duration, Instant)>) {
    match limit {
        Some((_, at)) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The end of a command whose `--timeout` passed.
pub(crate) fn timed_out(limit: Option<(Duration, Instant)>) -> Failure {
    let limit = limit.map(|(limit, _)| limit).unwrap_or_default();
    Failure::new(Exit::TimedOut, format!("no end within {}", humantime::format_duration(limit)))
}
