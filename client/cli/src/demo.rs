//! `demo`: the main job in one command. An embedded server on a socket of its own; one module asks another, is answered
//! with data that fits, and asks on after the Claude process was killed. It leaves nothing behind.

mod demand;
mod kill;
mod paper;
mod screen;
mod story;
#[cfg(test)]
mod tests;
mod views;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use claude_comms_client::Client;
use claude_comms_server::{
    Server,
    config::{self, Config},
};
use tempfile::TempDir;

use crate::{
    args::Demo,
    context::{Context, Patience},
    exit::{Exit, Failure, chain},
    output::Ui,
    serve,
};

/// A turn that still runs when the demo ends is not worth more.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// What the simulated Claude says: the questions of `story`, answered.
const SCENARIO: &str = include_str!("demo/scenario.yaml");
/// The longest path a Unix socket may have is 107 bytes.
const SOCKET_PATH_LIMIT_BYTES: usize = 100;

/// Tells the story and removes everything.
pub(crate) fn run(demo: &Demo, ui: &Ui) -> Result<Exit, Failure> {
    // A story is for people, whatever form results have.
    let ui = &ui.for_people();
    let directory = directory()?;
    let scenario = directory.path().join("scenario.yaml");
    std::fs::write(&scenario, SCENARIO)
        .map_err(|error| Failure::new(Exit::Failed, format!("write {}: {error}", scenario.display())))?;
    let config = configuration(demo, directory.path(), scenario)?;
    let runtime = serve::runtime()?;
    let told = runtime.block_on(async {
        let mut patience = Patience::new(None)?;
        let server =
            Server::start(config).await.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
        for warning in server.warnings() {
            ui.note(&format!("warning: {warning}"));
        }
        let client =
            Client::builder().endpoint(format!("unix:{}", socket(directory.path()).display())).build()?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = server.run(async {
            let _ = stopped.await;
        });
        let mut serving = std::pin::pin!(serving);
        let told = {
            let mut context = Context { ui, client, patience: Patience::new(None)? };
            tokio::select! {
                told = story::tell(&mut context, demo) => told,
                ended = &mut serving => {
                    ended.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
                    return Err(Failure::new(Exit::Failed, "the demo's server ended by itself"));
                }
            }
        };
        drop(stop);
        tokio::select! {
            ended = &mut serving => ended.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?,
            // A second Ctrl-C: the processes end with this one.
            () = patience.interrupted(), if told.is_err() => {}
        }
        told
    });
    runtime.shutdown_timeout(DRAIN_TIMEOUT);
    let place = directory.path().display().to_string();
    let removed = directory.close();
    let exit = told?;
    removed.map_err(|error| Failure::new(Exit::Failed, format!("remove {place}: {error}")))?;
    if exit == Exit::Done {
        views::farewell(ui)?;
    }
    Ok(exit)
}

fn directory() -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    let directory = builder.prefix("claude-comms-demo-");
    let made = directory.tempdir().and_then(|made| {
        if socket(made.path()).as_os_str().len() < SOCKET_PATH_LIMIT_BYTES {
            Ok(made)
        } else {
            directory.tempdir_in("/tmp")
        }
    });
    made.map_err(|error| Failure::new(Exit::Failed, format!("make a temporary directory: {error}")))
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("run/demo.sock")
}

/// The configuration of a server that nobody has configured: neither the user's file nor `CLAUDE_COMMS_*` count.
fn configuration(demo: &Demo, directory: &Path, scenario: PathBuf) -> Result<Config, Failure> {
    let overrides = config::Overrides {
        listen: vec![format!("unix:{}", socket(directory).display())],
        data_dir: Some(directory.join("data")),
        backend: Some(demo.backend.clone()),
        claude_binary: demo.claude_binary.clone(),
        scenario: Some(scenario),
        ..Default::default()
    };
    let own = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            name.starts_with("CLAUDE_COMMS_") || name == "HOME" || name == "XDG_CONFIG_HOME"
        })
    };
    let environment = std::env::vars_os().filter(|(name, _)| !own(name));
    let mut config =
        config::load(&overrides, environment).map_err(|error| crate::config::bad(&error))?.config;
    config.pool.drain_timeout = DRAIN_TIMEOUT;
    Ok(config)
}
