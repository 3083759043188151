//! Settings: flag > environment > file > default. Unknown keys are errors, each error names the key, where it came
//! from and the remedy.

mod file;
mod keys;
mod kind;
mod load;
mod print;
mod settings;
mod unknown;
mod value;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use file::ConfigFile;
pub use load::{ConfigError, Loaded, Overrides, Setting, Source, load};
pub use print::{default_file, documentation, schema};
pub use settings::{Changes, Settings};

pub use crate::memory::Derived;
use crate::tls::TlsFiles;

/// What answers turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// The Claude Code CLI.
    Claude,
    /// The simulated CLI.
    Simulated,
}

impl BackendKind {
    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Simulated => "simulated",
        }
    }
}

/// Who may call over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Whoever has the token.
    Token,
    /// Everybody on this machine.
    None,
}

impl AuthMode {
    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::None => "none",
        }
    }
}

/// An endpoint to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP without TLS, on loopback only.
    Tcp(std::net::SocketAddr),
    /// TCP with TLS.
    Tls(std::net::SocketAddr),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// Environment variables. Their values may be secret: shown are their names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(pub BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A sum of money, in billionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(pub u64);

impl Dollars {
    /// Rounded to a billionth; nothing for what is no sum of money.
    pub fn of(usd: f64) -> Self {
        // Saturates; NaN and what is negative are 0.
        Self((usd * 1e9).round() as u64)
    }
}

impl From<Dollars> for f64 {
    fn from(dollars: Dollars) -> Self {
        dollars.0 as Self / 1e9
    }
}

/// The Claude Code CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeOptions {
    /// Its path, or a name to look for in PATH.
    pub binary: PathBuf,
    /// Model of conversations that name none; `None` leaves it to the CLI.
    pub model: Option<String>,
    /// An operator's own configuration directory, in which somebody has logged in; `None` gives each process its own.
    pub config_dir: Option<PathBuf>,
    /// Variables given to each process beside the allow-list.
    pub environment: Variables,
    /// Arguments given to each process beside our own.
    pub extra_args: Vec<String>,
}

/// TLS of `https://` endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The server's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The authorities of client certificates.
    pub client_ca: Option<PathBuf>,
}

impl TlsOptions {
    /// What TLS is spoken with, if there is enough of it.
    pub fn files(&self) -> Option<TlsFiles> {
        let (cert, key) = (self.cert.clone()?, self.key.clone()?);
        Some(TlsFiles { cert, key, client_ca: self.client_ca.clone() })
    }
}

/// Processes and queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Most instances with a process, or pinned; `None` is what memory allows.
    pub max_instances: Option<u64>,
    /// What memory allows.
    pub derived: Derived,
    /// Memory that is kept free, bytes; `None` is a share of what there is.
    pub memory_reserve: Option<u64>,
    /// Most instances that serve one target module; `None` is no limit.
    pub module_max_instances: Option<u64>,
    /// Most instances that serve one pair of modules; `None` is no limit.
    pub pair_max_instances: Option<u64>,
    /// Modules, or pairs `source>target`, of which one idle instance is kept.
    pub keep_warm: Vec<String>,
    /// Most turns that wait, over all conversations.
    pub max_queue: usize,
    /// How long an instance that nobody started may wait for its next turn before its process is ended.
    pub idle_timeout: Duration,
    /// Longest time of a turn, time in the queue included.
    pub turn_timeout: Duration,
    /// How long running turns may go on once the server shuts down.
    pub drain_timeout: Duration,
    /// How often each process is asked how it is.
    pub health_interval: Duration,
    /// Processes that wait for new conversations.
    pub warm_spares: usize,
    /// How long such a one waits before it is replaced.
    pub spare_max_age: Duration,
    /// Least time between two starts of processes that nobody waits for.
    pub start_stagger: Duration,
    /// Memory of a process's tree, bytes, beyond which it is replaced after its turn.
    pub memory_limit: Option<u64>,
    /// Memory of a process's tree, bytes, beyond which it is killed.
    pub memory_hard_limit: Option<u64>,
    /// The most that turns may cost in a day (UTC).
    pub budget_usd: Option<Dollars>,
    /// The most that one turn may cost.
    pub turn_budget_usd: Option<Dollars>,
    /// The most that a conversation may cost.
    pub conversation_budget_usd: Option<Dollars>,
    /// The most that questions to one module may cost in a day (UTC).
    pub module_budget_usd: Option<Dollars>,
    /// Turns after which a process is replaced.
    pub max_turns: Option<u64>,
    /// Age at which a process is replaced.
    pub max_age: Option<Duration>,
    /// How long a process may say nothing while it runs a turn.
    pub silence_timeout: Duration,
}

impl PoolOptions {
    /// Most instances, set or derived.
    pub fn slots(&self) -> usize {
        let set = self.max_instances.map(|set| usize::try_from(set).unwrap_or(usize::MAX));
        set.unwrap_or(self.derived.instances)
    }

    /// Why there are so many slots, in words.
    pub fn slots_reason(&self) -> String {
        match self.max_instances {
            Some(_) => "pool.max_instances".to_owned(),
            None => self.derived.reason.clone(),
        }
    }
}

/// How turns are tried again that came to nothing before they were answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOptions {
    /// How often a turn is given to a process at most.
    pub max_attempts: u32,
    /// Longest pause before a retry.
    pub max_delay: Duration,
    /// Most retries of the whole server in a minute.
    pub budget: u32,
}

/// What is told to other programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// Where Prometheus may scrape.
    pub metrics_listen: Vec<Listen>,
    /// Where traces go; refused in builds without the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Endpoints; the default Unix socket where none is given.
    pub listen: Vec<Listen>,
    /// Where records, transcripts, instances and the token live.
    pub data_dir: PathBuf,
    /// What answers turns.
    pub backend: BackendKind,
    /// The Claude Code CLI.
    pub claude: ClaudeOptions,
    /// Scenario of the simulated backend; `None` for its default answer.
    pub scenario: Option<PathBuf>,
    /// Processes and queue.
    pub pool: PoolOptions,
    /// Directories with module descriptors.
    pub module_dirs: Vec<PathBuf>,
    /// Directories with templates.
    pub template_dirs: Vec<PathBuf>,
    /// Tokens of what the server adds to a prompt, system prompt and message together.
    pub token_budget: u32,
    /// How turns are tried again.
    pub retry: RetryOptions,
    /// Longest prompt, bytes.
    pub prompt_limit_bytes: usize,
    /// Who may call over TCP.
    pub auth: AuthMode,
    /// What is told to other programs.
    pub telemetry: TelemetryOptions,
    /// TLS.
    pub tls: TlsOptions,
    /// What instances see of the server's environment.
    pub instance_environment: Variables,
    /// Our own binary, which is also reaper and simulator.
    pub own_binary: PathBuf,
}
