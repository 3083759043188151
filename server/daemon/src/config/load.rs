//! Reads settings from their four places: flag > environment > file > default.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use claude_comms_supervisor::MemoryFacts;
use serde_json::{Map, Value};

use super::{
    AuthMode, BackendKind, ClaudeOptions, Config, ConfigFile, Derived, Listen, PoolOptions, TelemetryOptions,
    TlsOptions, Variables, file, keys, unknown,
};
use crate::{listen, memory};

/// Begins every variable of ours.
pub(super) const PREFIX: &str = "CLAUDE_COMMS_";
/// The client's variables; the server ignores them.
pub(super) const CLIENT_VARIABLES: [&str; 7] = [
    "CLAUDE_COMMS_SERVER",
    "CLAUDE_COMMS_TOKEN",
    "CLAUDE_COMMS_TOKEN_FILE",
    "CLAUDE_COMMS_OUTPUT",
    "CLAUDE_COMMS_TLS_CA",
    "CLAUDE_COMMS_TLS_CERT",
    "CLAUDE_COMMS_TLS_KEY",
];

/// Flags of `serve`; what is not given leaves the setting alone.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// `--listen`, each.
    pub listen: Vec<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--backend`.
    pub backend: Option<String>,
    /// `--claude-binary`.
    pub claude_binary: Option<PathBuf>,
    /// `--scenario`.
    pub scenario: Option<PathBuf>,
    /// `--module-dir`, each.
    pub module_dirs: Vec<PathBuf>,
    /// `--template-dir`, each.
    pub template_dirs: Vec<PathBuf>,
}

/// Settings that cannot be used. The message names the place, the key and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named by `--config` cannot be read.
    #[error("configuration file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("configuration file {path} is not valid YAML: {message}")]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// One or more keys are unknown or have bad values, one a line.
    #[error("{}", .0.join("\n"))]
    Keys(Vec<String>),
    /// Neither a home directory nor an XDG variable says where things live.
    #[error("{what} has no place: set {variable}, or give {flag}")]
    NoPlace {
        /// What has no place.
        what: &'static str,
        /// The variable that would give one.
        variable: &'static str,
        /// The flag that would.
        flag: &'static str,
    },
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is not set.
    Default,
    /// The file, with the line of its key where that is known.
    File(PathBuf, Option<u64>),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "file {}:{line}", path.display()),
            Self::File(path, None) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One setting as it is in effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its path in the file.
    pub key: &'static str,
    /// Its value; secrets are `(set)`, null is none.
    pub value: Value,
    /// What holds in its place, in words, where the value is none.
    pub otherwise: String,
    /// Where it comes from.
    pub source: Source,
    /// Whether SIGHUP changes it in a running server.
    pub reloads: bool,
}

/// Settings with where they come from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file.
    pub file: ConfigFile,
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Every setting, in the table's order.
    pub fn settings(&self) -> Vec<Setting> {
        let setting = |key: &keys::Key| Setting {
            key: key.path,
            value: key.kind.show(&self.config),
            otherwise: match key.unset {
                keys::Unset::Value => String::new(),
                keys::Unset::Words(words, _) => words.to_owned(),
                keys::Unset::Derived(.., say) => say(&self.config),
            },
            source: self.sources.get(key.path).cloned().unwrap_or(Source::Default),
            reloads: key.reload == keys::Reload::Signal,
        };
        keys::KEYS.iter().map(setting).collect()
    }
}

/// Reads the settings.
///
/// # Errors
/// [`ConfigError`]; every bad key is listed, not only the first.
pub fn load(
    overrides: &Overrides,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let environment = readable(environment)?;
    let mut reading =
        Reading { config: defaults(&environment), sources: BTreeMap::new(), problems: Vec::new() };
    let (file, contents) = file::read(overrides.config_file.as_deref(), &environment)?;
    if let ConfigFile::Read(path) = &file {
        reading.tree(&contents, path);
    }
    for (name, value) in &environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if !CLIENT_VARIABLES.contains(&name.as_str()) {
            reading.variable(name, &rest.to_ascii_lowercase().replace("__", "."), value);
        }
    }
    let flags = [
        ("listen", (!overrides.listen.is_empty()).then(|| Value::from(overrides.listen.clone())), "--listen"),
        ("data_dir", overrides.data_dir.as_deref().map(path_value), "--data-dir"),
        ("backend", overrides.backend.clone().map(Value::from), "--backend"),
        ("claude.binary", overrides.claude_binary.as_deref().map(path_value), "--claude-binary"),
        ("module_dirs", path_values(&overrides.module_dirs), "--module-dir"),
        ("template_dirs", path_values(&overrides.template_dirs), "--template-dir"),
        ("simulated.scenario", overrides.scenario.as_deref().map(path_value), "--scenario"),
    ];
    for (path, value, flag) in flags {
        let Some(value) = value else { continue };
        let key = keys::find(path).expect("each flag sets a key of the table");
        reading.set(key, &value, Source::Flag(flag), flag);
    }
    if !reading.problems.is_empty() {
        return Err(ConfigError::Keys(reading.problems));
    }
    Ok(Loaded { config: finish(reading.config, &environment)?, file, sources: reading.sources })
}

/// The variables, all of which must be UTF-8 that are ours.
fn readable(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut readable = BTreeMap::new();
    for (name, value) in environment {
        let shown = name.to_string_lossy().into_owned();
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => {
                readable.insert(name, value);
            }
            _ if shown.starts_with(PREFIX) => {
                return Err(ConfigError::Keys(vec![format!("environment variable {shown}: must be UTF-8")]));
            }
            _ => {}
        }
    }
    Ok(readable)
}

/// Settings while they are read.
struct Reading {
    config: Config,
    sources: BTreeMap<&'static str, Source>,
    problems: Vec<String>,
}

impl Reading {
    /// Takes a value, or notes what is wrong with it.
    fn set(&mut self, key: &'static keys::Key, value: &Value, source: Source, place: &str) {
        match key.kind.set(&mut self.config, value) {
            Ok(()) => {
                self.sources.insert(key.path, source);
            }
            Err(problem) => self.problems.push(format!("{place}: {} {problem}", key.path)),
        }
    }

    fn tree(&mut self, contents: &file::Contents, file: &Path) {
        let below = |level: &str, map: &'_ Map<String, Value>| -> Vec<(String, Value)> {
            map.iter().rev().map(|(key, value)| (format!("{level}{key}"), value.clone())).collect()
        };
        let mut rest = below("", &contents.values);
        while let Some((path, value)) = rest.pop() {
            let line = contents.lines.get(&path).copied();
            let source = Source::File(file.to_owned(), line);
            let place = match line {
                Some(line) => format!("{}:{line}", file.display()),
                None => file.display().to_string(),
            };
            match (keys::find(&path), &value) {
                (None, Value::Object(map)) if keys::is_level(&path) => {
                    rest.extend(below(&format!("{path}."), map));
                }
                (None, Value::Null) if keys::is_level(&path) => {}
                (None, _) if keys::is_level(&path) => {
                    self.problems.push(format!("{place}: {path} must be a map of keys, not {value}"));
                }
                (Some(_), Value::Null) => {}
                (Some(key), _) => self.set(key, &value, source, &place),
                (None, _) => {
                    let remedy = unknown::remedy(&path, value.is_object(), str::to_owned);
                    self.problems.push(format!("{place}: unknown key {path}{remedy}"));
                }
            }
        }
    }

    fn variable(&mut self, name: &str, path: &str, text: &str) {
        let Some(key) = keys::find(path) else {
            let remedy = unknown::variable_remedy(name, path);
            self.problems.push(format!("unknown environment variable {name}{remedy}"));
            return;
        };
        // Read as YAML where the key is a list or a map, else as it stands.
        let value = if key.kind.is_free_map() || text.trim_start().starts_with('[') {
            serde_yaml::from_str(text).unwrap_or_else(|_| Value::from(text))
        } else {
            Value::from(text)
        };
        self.set(key, &value, Source::Environment(name.to_owned()), &format!("environment variable {name}"));
    }
}

/// What holds where nothing is set; places that depend on the user are filled in at the end.
pub(super) fn defaults(environment: &BTreeMap<String, String>) -> Config {
    Config {
        listen: Vec::new(),
        data_dir: PathBuf::new(),
        backend: BackendKind::Claude,
        claude: ClaudeOptions {
            binary: PathBuf::from("claude"),
            model: None,
            config_dir: None,
            environment: Variables::default(),
            extra_args: Vec::new(),
        },
        scenario: None,
        pool: PoolOptions {
            max_instances: None,
            derived: Derived::default(),
            memory_reserve: None,
            module_max_instances: None,
            pair_max_instances: None,
            keep_warm: Vec::new(),
            max_queue: 1024,
            idle_timeout: Duration::from_secs(15 * 60),
            turn_timeout: Duration::from_secs(30 * 60),
            drain_timeout: Duration::from_secs(30),
            health_interval: Duration::from_secs(15),
            warm_spares: 1,
            spare_max_age: Duration::from_secs(30 * 60),
            start_stagger: Duration::from_millis(250),
            memory_limit: None,
            memory_hard_limit: None,
            max_turns: None,
            budget_usd: None,
            turn_budget_usd: None,
            conversation_budget_usd: None,
            module_budget_usd: None,
            max_age: None,
            silence_timeout: Duration::from_secs(300),
        },
        module_dirs: Vec::new(),
        template_dirs: Vec::new(),
        token_budget: claude_comms_context::DEFAULT_TOKEN_BUDGET,
        retry: super::RetryOptions { max_attempts: 3, max_delay: Duration::from_secs(30), budget: 120 },
        prompt_limit_bytes: 2 << 20,
        auth: AuthMode::Token,
        telemetry: TelemetryOptions::default(),
        tls: TlsOptions::default(),
        instance_environment: Variables(claude_comms_supervisor::allowed_environment(
            environment.iter().map(|(name, value)| (name.clone(), value.clone())),
        )),
        own_binary: PathBuf::from("/proc/self/exe"),
    }
}

fn finish(mut config: Config, environment: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let set = |name: &str| environment.get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if config.data_dir.as_os_str().is_empty() {
        config.data_dir = set("XDG_DATA_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".local/share")))
            .map(|dir| dir.join("claude-comms"))
            .ok_or(ConfigError::NoPlace {
                what: "the data directory",
                variable: "HOME",
                flag: "--data-dir",
            })?;
    }
    if config.listen.is_empty() {
        let socket = set("XDG_RUNTIME_DIR")
            .map(|dir| dir.join("claude-comms/claude-comms.sock"))
            .or_else(|| set("HOME").map(|home| home.join(".claude-comms/claude-comms.sock")))
            .ok_or(ConfigError::NoPlace { what: "the socket", variable: "HOME", flag: "--listen" })?;
        config.listen = vec![Listen::Unix(socket)];
    }
    if config.auth == AuthMode::None && config.listen.iter().any(|l| !listen::is_local(l)) {
        return Err(ConfigError::Keys(vec![
            "auth.mode: none is allowed on loopback only; use token, or listen on 127.0.0.1".to_owned(),
        ]));
    }
    let tellable = |endpoint: &Listen| listen::is_local(endpoint) && !matches!(endpoint, Listen::Tls(_));
    if !config.telemetry.metrics_listen.iter().all(tellable) {
        return Err(ConfigError::Keys(vec![
            "telemetry.metrics_listen: figures are told without a token, on this machine only; listen on http://127.0.0.1:PORT or a Unix socket, and let an agent of this machine forward them".to_owned(),
        ]));
    }
    if let (Some(soft), Some(hard)) = (config.pool.memory_limit, config.pool.memory_hard_limit)
        && hard < soft
    {
        return Err(ConfigError::Keys(vec![
            "pool.memory_hard_limit: must not be less than pool.memory_limit, beyond which processes are replaced"
                .to_owned(),
        ]));
    }
    if let Some(listen) = config.listen.iter().find(|listen| matches!(listen, Listen::Tls(_)))
        && config.tls.files().is_none()
    {
        let missing: Vec<&str> = [("tls.cert", &config.tls.cert), ("tls.key", &config.tls.key)]
            .into_iter()
            .filter_map(|(key, file)| file.is_none().then_some(key))
            .collect();
        let missing = missing.join(" and ");
        return Err(ConfigError::Keys(vec![format!("{missing}: needed to listen on {listen}")]));
    }
    config.pool.derived = memory::derived(&MemoryFacts::read(), config.backend, config.pool.memory_reserve);
    config.instance_environment.0.extend(config.claude.environment.0.clone());
    Ok(config)
}

fn path_values(paths: &[PathBuf]) -> Option<Value> {
    (!paths.is_empty()).then(|| paths.iter().map(|path| path_value(path)).collect())
}

fn path_value(path: &Path) -> Value {
    Value::from(path.to_string_lossy().into_owned())
}
