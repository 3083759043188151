//! `serve`: the server in the foreground. Knows the server's configuration, its log and its signals.

use claude_comms_server::{Server, config};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    args::{LogFormat, Serve},
    exit::{Exit, Failure, chain},
    output::{Paint, Ui},
};

/// Runs the server until SIGINT or SIGTERM. A second one ends it at once; its processes end with it either way.
pub(crate) fn run(serve: Serve, ui: &Ui) -> Result<Exit, Failure> {
    let log_format = serve.log_format;
    let overrides = config::Overrides {
        config_file: serve.config,
        listen: serve.listen,
        data_dir: serve.data_dir,
        backend: serve.backend,
        claude_binary: serve.claude_binary,
        scenario: serve.scenario,
        module_dirs: serve.module_dirs,
        template_dirs: serve.template_dirs,
    };
    let config = config::load(&overrides, std::env::vars_os()).map_err(|error| bad_config(&error))?.config;
    log(log_format, ui);
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        // Before the server starts: a signal while it recovers must not leave a half-started one.
        let mut signals = Signals::new()?;
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
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = server.run(async {
            let _ = stopped.await;
        });
        let mut running = std::pin::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = signals.next() => {
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

/// A configuration that cannot be used: what users wrote, so usage. Each problem has a line.
pub(crate) fn bad_config(error: &config::ConfigError) -> Failure {
    let text = chain(error);
    let mut lines = text.lines().map(str::to_owned);
    let mut failure = Failure::new(Exit::Usage, lines.next().unwrap_or_default());
    failure.lines = lines.collect();
    failure
}

/// Sends the log to standard error. Other people's crates say little even with `--verbose`.
fn log(format: LogFormat, ui: &Ui) {
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
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
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
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("listen to signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            _file_size: listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
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
