//! What users type to end a server.

use std::time::Duration;

use clap::Args;

use super::values::duration;

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// How long running turns may go on before they are cancelled [default: pool.drain_timeout of the server]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Do not wait until the server is gone
    #[arg(long)]
    pub(crate) no_wait: bool,
}
