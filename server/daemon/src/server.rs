//! The server: opens everything in the one order that is safe, serves, and closes it again.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use claude_comms_store::{Commit, Observer, OpenError, RedbStore, Store, StoreError};
use claude_comms_supervisor::{MemoryFacts, Supervisor};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{self, AuthLayer, Refusals, Rule, Tokens},
    backend::{Backend, CliBackend},
    budget::Budgets,
    condition::BackendCondition,
    config::{AuthMode, Config, Listen, Settings},
    diagnosis::{Attached, Diagnosis},
    dispatcher::Dispatcher,
    drain::{self, DrainSwitch},
    grpc::Context,
    health::{self, Serving},
    hub::EventHub,
    listen::{self, Bound, ListenError},
    login, memory,
    modules::Modules,
    monitor, recovery,
    serving::{self, Incoming},
    telemetry::{Figures, Observed, endpoint},
    tls::{self, Certificates},
};

/// How long open calls may take to end once nothing runs any more.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// A server that could not start. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The registered modules.
    #[error("the registered modules could not be read")]
    Modules(#[source] StoreError),
    /// What was left from an earlier run could not be settled.
    #[error("the turns of an earlier run could not be settled")]
    Recovery(#[source] StoreError),
    /// An endpoint.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data directory's token.
    #[error(transparent)]
    TokenFile(#[from] auth::TokenFileError),
    /// The other tokens.
    #[error("the tokens could not be read")]
    Tokens(#[source] StoreError),
    /// The operator's configuration directory.
    #[error("claude.config_dir is not a directory that can be used")]
    ConfigDir(#[source] std::io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// A scenario of the simulated backend that is not there.
    #[error("simulated.scenario {path} cannot be read")]
    Scenario {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// A server that ended in another way than asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener failed.
    #[error("an endpoint failed")]
    Transport(#[from] tonic::transport::Error),
    /// A listener ended by itself.
    #[error("an endpoint ended by itself; the log says more")]
    Endpoint,
}

/// A server that is ready: it accepts connections once it is run, and what came before waits in the listeners' queues.
#[derive(Debug)]
pub struct Server {
    bound: Vec<Bound>,
    endpoints: Arc<Vec<String>>,
    warnings: Vec<String>,
    context: Context,
    auth: AuthMode,
    certificates: Option<Certificates>,
    refusals: Refusals,
    tracker: TaskTracker,
    /// Ends what watches directories.
    ending: CancellationToken,
    /// Ends what is told of instances.
    watching: CancellationToken,
}

impl Server {
    /// Opens the store (which holds the data directory), settles what was left, binds the endpoints.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(path) = &config.scenario {
            std::fs::File::open(path)
                .map_err(|source| StartError::Scenario { path: path.clone(), source })?;
        }
        let config_dir = login::config_dir(&config).map_err(StartError::ConfigDir)?;
        let speaks_tls = config.listen.iter().any(|listen| matches!(listen, Listen::Tls(_)));
        let certificates = config.tls.files().filter(|_| speaks_tls).map(Certificates::load).transpose()?;
        let tracker = TaskTracker::new();
        let data_dir = config.data_dir.clone();
        let figures = Figures::new(config.pool.max_queue, config.pool.slots());
        let observer = {
            let figures = figures.clone();
            Observer::new(move |commit: Commit| {
                figures.committed(commit.operations, commit.took, commit.durable);
            })
        };
        let opened = tokio::task::spawn_blocking(move || {
            let options = claude_comms_store::Options { observer, ..Default::default() };
            RedbStore::open(&data_dir, options)
        });
        let store: Arc<dyn Store> = Arc::new(opened.await.expect("opening does not panic")?);

        let mut warnings = Vec::new();
        let mut bound = Vec::new();
        let mut endpoints = Vec::new();
        for listen in &config.listen {
            let (listener, endpoint) = listen::bind(listen).await?;
            bound.push(listener);
            endpoints.push(endpoint);
        }
        let mut metrics = Vec::new();
        for listen in &config.telemetry.metrics_listen {
            metrics.push(listen::bind(listen).await?);
        }
        let default = token_of(&config, &mut warnings)?;
        let tokens = Tokens::load(Arc::clone(&store), default.as_ref(), SystemTime::now()).await;
        let tokens = tokens.map_err(StartError::Tokens)?;

        let instances_dir = config.data_dir.join("instances");
        let mut options =
            claude_comms_supervisor::Options::new(store.server().id.to_string(), &instances_dir);
        options.reaper.clone_from(&config.own_binary);
        options.config_dir = config_dir;
        let supervisor = Supervisor::new(options, tracker.clone());
        let waiting = recovery::settle(&store, &supervisor, &instances_dir, &figures)
            .await
            .map_err(StartError::Recovery)?;

        let hub = EventHub::default();
        for (id, last) in recovery::settle_logs(store.as_ref()).await.map_err(StartError::Recovery)? {
            hub.monitor().restore(id, last);
        }
        let watching = CancellationToken::new();
        tracker.spawn(monitor::write(hub.monitor().clone(), Arc::clone(&store), watching.clone()));
        let settings = Settings::new(config.clone());
        let backend: Arc<dyn Backend> = Arc::new(CliBackend::new(
            settings.clone(),
            supervisor.clone(),
            Arc::clone(&store),
            figures.clone(),
        ));
        let started = (std::time::Instant::now(), figures.start_time());
        let attached = Attached { store: Arc::clone(&store), backend: Arc::clone(&backend), started };
        let diagnosis = Diagnosis::attached(settings.clone(), supervisor, attached);
        if let Err(not_ready) = backend.ready().await {
            warnings.push(format!("{not_ready}; turns are refused until then"));
        }
        warnings.extend(login::warnings(&config));
        let modules = Modules::load(settings.clone(), Arc::clone(&store), tracker.clone())
            .await
            .map_err(StartError::Modules)?;
        let ending = CancellationToken::new();
        modules.watch(&tracker, ending.clone()).await;
        tokens.keep_uses(&tracker, ending.clone());
        let condition = BackendCondition::new(figures.clone());
        let budgets = Budgets::new(settings.clone());
        budgets.restored(&store, &tracker).await.map_err(StartError::Recovery)?;
        let dispatcher = Dispatcher::start(
            &settings,
            Arc::clone(&store),
            Arc::clone(&backend),
            hub.clone(),
            tracker.clone(),
            memory::watch(&tracker, ending.clone(), settings.clone(), Arc::new(MemoryFacts::read)),
            (condition.clone(), budgets.clone()),
        );
        health::watch_instances(&tracker, ending.clone(), dispatcher.clone(), config.pool.health_interval);
        health::weigh_instances(&tracker, ending.clone(), dispatcher.clone(), settings.clone());
        recovery::take_up(&store, &dispatcher, waiting).await.map_err(StartError::Recovery)?;

        tracing::info!(
            backend = config.backend.as_str(),
            data_dir = %config.data_dir.display(),
            max_instances = config.pool.slots(),
            max_instances_reason = config.pool.slots_reason(),
            server.id = %store.server().id,
            server.incarnation = store.server().incarnation,
            "ready"
        );
        let endpoints = Arc::new(endpoints);
        let observed = Observed {
            figures: figures.clone(),
            dispatcher: dispatcher.clone(),
            store: Arc::clone(&store),
            budgets,
        };
        for (bound, endpoint) in metrics {
            endpoint::serve(bound, &endpoint, observed.clone(), &tracker, ending.clone());
        }
        let context = Context {
            store,
            diagnosis,
            dispatcher,
            backend,
            condition,
            hub,
            tracker: tracker.clone(),
            modules,
            tokens,
            prompt_limit_bytes: config.prompt_limit_bytes,
            settings,
            endpoints: Arc::clone(&endpoints),
            start_time: figures.start_time(),
            observed,
            drain: DrainSwitch::new(),
        };
        let (auth, refusals) = (config.auth, Refusals::new(figures.clone()));
        Ok(Self {
            bound,
            endpoints,
            warnings,
            context,
            auth,
            certificates,
            refusals,
            tracker,
            ending,
            watching,
        })
    }

    /// The endpoints as clients name them, with the real ports.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// What the operator should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The settings in effect, through which they can be changed.
    pub fn settings(&self) -> Settings {
        self.context.settings.clone()
    }

    /// Serves until `shutdown` or a Drain call, then drains: no new turns, running ones may end, processes end, the store
    /// is closed.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let close = CancellationToken::new();
        let (health, health_service) = Serving::new().await;
        let watched = (Arc::clone(&self.context.store), Arc::clone(&self.context.backend));
        health.clone().watch(
            &self.tracker,
            self.ending.clone(),
            watched,
            self.context.settings.now().pool.health_interval,
        );

        let mut endpoints = tokio::task::JoinSet::new();
        let mut sockets = Vec::new();
        for bound in self.bound {
            let rule = match (&bound, self.auth) {
                (Bound::Unix(..), _) => Rule::Owner(rustix::process::geteuid().as_raw()),
                (Bound::Tcp(_) | Bound::Tls(_), AuthMode::Token) => Rule::Token(self.context.tokens.clone()),
                (Bound::Tcp(_) | Bound::Tls(_), AuthMode::None) => Rule::Open,
            };
            let incoming = match bound {
                Bound::Unix(listener, socket) => {
                    sockets.push(socket);
                    Incoming::Unix(listener)
                }
                Bound::Tcp(listener) => Incoming::Tcp(listener),
                Bound::Tls(listener) => {
                    let certificates = self.certificates.clone();
                    let certificates = certificates.expect("settings with a TLS endpoint have its files");
                    let refusals = self.refusals.clone();
                    Incoming::Tls(tls::serve(listener, certificates, refusals, &self.tracker, close.clone()))
                }
            };
            let layer = AuthLayer { rule, refusals: self.refusals.clone() };
            let router = serving::router(layer, &self.context, health_service.clone());
            let closed = close.clone().cancelled_owned();
            endpoints.spawn(incoming.serve(router, closed));
        }

        let mut shutdown = std::pin::pin!(shutdown);
        let mut signalled = false;
        let (failed, until) = tokio::select! {
            () = &mut shutdown => {
                signalled = true;
                (None, drain::after(self.context.drain_timeout()))
            }
            until = self.context.drain.asked(None) => (None, until),
            Some(ended) = endpoints.join_next() => {
                let error = match ended {
                    Ok(Err(error)) => error.into(),
                    Ok(Ok(())) | Err(_) => RunError::Endpoint,
                };
                (Some(error), drain::after(self.context.drain_timeout()))
            }
        };
        let load = self.context.dispatcher.load().await.unwrap_or_default();
        let longest_seconds = drain::left(until).as_secs_f64().round();
        tracing::info!(running = load.running, queued = load.queued, longest_seconds, "draining");
        health.drain().await;
        // A first signal after a Drain call is as one without it.
        let signal = async {
            if signalled {
                std::future::pending::<()>().await;
            }
            shutdown.await;
            self.context.drain_timeout()
        };
        if !drain::drained(&self.context.dispatcher, &self.context.drain, until, signal).await {
            tracing::error!(
                "not everything ended in the time to drain; what still runs is ended with the server"
            );
        }
        self.context.hub.close();
        // They have seen the processes end.
        self.watching.cancel();
        close.cancel();
        // Watchers of turns that stay queued have been sent away; a call that still hangs is cut.
        let _ =
            tokio::time::timeout(CLOSE_GRACE, async { while endpoints.join_next().await.is_some() {} }).await;
        endpoints.shutdown().await;
        let Context { store, dispatcher, observed, .. } = self.context;
        drop((dispatcher, observed));
        self.ending.cancel();
        self.tracker.close();
        if tokio::time::timeout(CLOSE_GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "tasks were still running at the end");
        }
        store.close().await;
        tracing::info!("stopped");
        drop(sockets);
        failed.map_or(Ok(()), Err)
    }
}

fn token_of(
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<Option<secrecy::SecretString>, auth::TokenFileError> {
    if !config.listen.iter().any(|listen| matches!(listen, Listen::Tcp(_) | Listen::Tls(_))) {
        return Ok(None);
    }
    match config.auth {
        AuthMode::Token => auth::load(&config.data_dir).map(Some),
        AuthMode::None => {
            warnings.push(
                "auth.mode is none: every user and program of this machine may call this server".to_owned(),
            );
            Ok(None)
        }
    }
}
