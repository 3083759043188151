//! The server itself, and this program.

use claude_comms_client::{Client, Error, v1};

use crate::{
    args::Format,
    context::Context,
    exit::{Exit, Failure},
    output::{Ui, View as _, pool_views},
};

pub(super) async fn status(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let info = context.patience.wait(context.client.server_info()).await?;
    let pool = match context.ui.format {
        Format::Table => context.patience.wait(pool(&context.client)).await?,
        Format::Json | Format::Yaml => None,
    };
    context.ui.resource_as(&info, || match &pool {
        Some(counts) => pool_views::with_pool(info.details(), counts),
        None => info.details(),
    })?;
    Ok(Exit::Done)
}

pub(super) async fn statistics(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let statistics = context.patience.wait(context.client.statistics()).await?;
    context.ui.resource(&statistics)?;
    Ok(Exit::Done)
}

/// What the pool is doing. An older server does not tell.
async fn pool(client: &Client) -> Result<Option<v1::PoolCounts>, Error> {
    let mut pool = match client.watch_pool().await {
        Ok(pool) => pool,
        Err(Error::Unimplemented(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(pool.next().await.transpose()?.and_then(|snapshot| snapshot.counts))
}

pub(super) fn version(ui: &Ui) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match ui.format {
        Format::Table => ui.write(&format!("claude-comms {version}\n"))?,
        Format::Json => ui.write(&format!("{}\n", serde_json::json!({ "version": version })))?,
        Format::Yaml => ui.write(&format!("version: {version}\n"))?,
    }
    Ok(Exit::Done)
}
