//! The server itself, and this program.

use crate::{
    args::Format,
    context::Context,
    exit::{Exit, Failure},
    output::Ui,
};

pub(super) async fn status(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let info = context.patience.wait(context.client.server_info()).await?;
    context.ui.resource(&info)?;
    Ok(Exit::Done)
}

pub(super) async fn statistics(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let statistics = context.patience.wait(context.client.statistics()).await?;
    context.ui.resource(&statistics)?;
    Ok(Exit::Done)
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
