//! `serve`: the server in the foreground. Knows the server's configuration, its log and its signals.

use std::io::IsTerminal as _;

#[cfg(feature = "otlp")]
use claude_comms_server::telemetry::otlp::Traces;
use claude_comms_server::{
    Server,
    config::{self as server_config, Overrides, Settings},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    args::{LogFormat, Serve},
    config,
    exit::{Exit, Failure, chain},
    output::{Paint, Ui},
};

/// Runs the server until SIGINT or SIGTERM. A second one ends it at once; its processes end with it either way. SIGHUP
/// reads its settings again.
pub(crate) fn run(serve: Serve, ui: &Ui) -> Result<Exit, Failure> {
    let overrides = config::overrides(serve.settings);
    let config = config::load(&overrides)?.config;
    let runtime = runtime()?;
    #[cfg(feature = "otlp")]
    let traces = {
        let _entered = runtime.enter();
        let to = config.telemetry.otlp_endpoint.as_deref().map(Traces::to).transpose();
        to.map_err(|error| Failure::new(Exit::Usage, chain(&error)))?
    };
    #[cfg(feature = "otlp")]
    let others = traces.iter().map(|traces| traces.layer().boxed()).collect();
    #[cfg(not(feature = "otlp"))]
    let others = Vec::new();
    #[cfg(not(feature = "otlp"))]
    if config.telemetry.otlp_endpoint.is_some() {
        let words = "telemetry.otlp_endpoint: this program was built without the feature otlp; leave the key out, or build with --features otlp";
        return Err(Failure::new(Exit::Usage, words));
    }
    log(serve.log_format, ui, others);
    let exit = runtime.block_on(async {
        // Before the server starts: a signal while it recovers must not leave a half-started one.
        let mut signals = Signals::new()?;
        let mut hangups = listen_to(SignalKind::hangup())?;
        let started = tokio::select! {
            started = Server::start(config) => started,
            () = signals.next() => return Ok(Exit::Interrupted),
        };
        let server = started.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
        for warning in server.warnings() {
            tracing::warn!("{warning}");
        }
        for endpoint in server.endpoints() {
            // Nobody has to listen to where the server listens.
            let _ = ui.write(&format!("listening on {endpoint}\n"));
        }
        let settings = server.settings();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = server.run(async {
            let _ = stopped.await;
        });
        let mut running = std::pin::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = async {
                tokio::select! {
                    () = signals.next() => {}
                    () = reloads(&mut hangups, &overrides, &settings) => {}
                }
            } => {
                tracing::info!("shutting down; a second signal ends the server at once");
                let _ = stop.send(());
                tokio::select! {
                    ended = &mut running => ended,
                    () = signals.next() => return Ok(Exit::Interrupted),
                }
            }
        };
        ended.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
        Ok(Exit::Done)
    });
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.flush();
    }
    // Whatever still runs after a second signal is not waited for: the kernel closes the life pipes of all processes.
    runtime.shutdown_background();
    exit
}

/// The runtime of a server.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("start the runtime: {error}")))
}

/// Who hears what the server says of itself.
type Listener = Box<dyn tracing_subscriber::Layer<tracing_subscriber::Registry> + Send + Sync>;

/// Sends the log to standard error. Other people's crates say little even with `--verbose`.
///
/// Each of the `others` must have a filter of its own: one layer without, be it `None`, makes every span of ours one that
/// might be wanted, and the log's filter then drops lines that follow one.
fn log(format: LogFormat, ui: &Ui, others: Vec<Listener>) {
    let level = match (ui.quiet, ui.verbose) {
        (true, _) => tracing::Level::WARN,
        (false, true) => tracing::Level::DEBUG,
        (false, false) => tracing::Level::INFO,
    };
    let targets = Targets::new().with_default(tracing::Level::WARN).with_target("claude_comms", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(ui.err() == Paint::Colored).boxed(),
        // One flat object a line; no span of ours is ever part of it.
        LogFormat::Json => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    // Only a second call in one process could fail.
    let mut listeners = others;
    listeners.push(layer.with_filter(targets).boxed());
    let _ = tracing_subscriber::registry().with(listeners).try_init();
}

/// Reads the settings again at each SIGHUP. Returns when the terminal that the server was started on is gone, which is
/// told by the same signal.
async fn reloads(hangups: &mut Signal, overrides: &Overrides, settings: &Settings) {
    let on_terminal = std::io::stderr().is_terminal();
    while hangups.recv().await.is_some() {
        if on_terminal && !std::io::stderr().is_terminal() {
            return;
        }
        let new = match server_config::load(overrides, std::env::vars_os()) {
            Ok(loaded) => loaded.config,
            Err(error) => {
                let problems = chain(&error);
                tracing::error!(problems, "the settings cannot be used; everything stays as it is");
                continue;
            }
        };
        let changes = settings.take(&new);
        tracing::info!(changed = changes.taken.join(" "), "settings read again");
        if !changes.restart.is_empty() {
            tracing::warn!(keys = changes.restart.join(" "), "new values of these settings need a restart");
        }
    }
    std::future::pending().await
}

fn listen_to(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("listen to signals: {error}")))
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Only to be there: a write beyond the limit of a file's size then fails, as on a full disk, and the store says so.
    /// By default it would end the server.
    _file_size: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: listen_to(SignalKind::interrupt())?,
            terminate: listen_to(SignalKind::terminate())?,
            _file_size: listen_to(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Resolves at the next SIGINT or SIGTERM.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
