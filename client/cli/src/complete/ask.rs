//! One question to the server that the command line names, within a time that nobody feels.

use std::time::Duration;

use claude_comms_client::{Client, Error};

use super::line;
use crate::{context::Context, output::Ui};

/// Longest wait for the server, connecting included: more would be felt at the prompt.
const PATIENCE: Duration = Duration::from_millis(300);

/// Asks the server that the command line names, if it answers in time.
pub(super) fn ask<T>(call: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let global = line::global()?;
    let ui = Ui::plain();
    let answer = runtime.block_on(async {
        let asked = async {
            let context = Context::new(&global, &ui).ok()?;
            call(&context.client).await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    answer
}
