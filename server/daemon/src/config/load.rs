//! Reads settings from their four places.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{AuthMode, BackendKind, ClaudeOptions, Config, Listen, PoolOptions, Variables, keys};
use crate::listen;

const PREFIX: &str = "CLAUDE_COMMS_";
/// The client's variables; the server ignores them.
const CLIENT_VARIABLES: [&str; 4] =
    ["CLAUDE_COMMS_SERVER", "CLAUDE_COMMS_TOKEN", "CLAUDE_COMMS_TOKEN_FILE", "CLAUDE_COMMS_OUTPUT"];

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

/// Reads the settings.
///
/// # Errors
/// [`ConfigError`]; every bad key is listed, not only the first.
pub fn load(
    overrides: Overrides,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let environment: Vec<(OsString, OsString)> = environment.collect();
    let unreadable = environment.iter().find(|(name, value)| {
        name.to_string_lossy().starts_with(PREFIX) && (name.to_str().is_none() || value.to_str().is_none())
    });
    if let Some((name, _)) = unreadable {
        let name = name.to_string_lossy();
        return Err(ConfigError::Keys(vec![format!("environment variable {name}: must be UTF-8")]));
    }
    let environment: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut config = defaults(&environment);
    let mut problems = Vec::new();

    if let Some((path, text)) = read_file(&overrides, &environment)? {
        let origin = path.display().to_string();
        apply_tree(&mut config, &parse(&path, &text)?, &origin, &mut problems);
    }
    for (name, value) in &environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if CLIENT_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let path = rest.to_ascii_lowercase().replace("__", ".");
        apply(
            &mut config,
            &path,
            &from_environment(&path, value),
            &format!("environment variable {name}"),
            &mut problems,
        );
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
        if let Some(value) = value {
            apply(&mut config, path, &value, flag, &mut problems);
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Keys(problems));
    }
    finish(config, &environment)
}

fn defaults(environment: &BTreeMap<String, String>) -> Config {
    Config {
        listen: Vec::new(),
        data_dir: PathBuf::new(),
        backend: BackendKind::Claude,
        claude: ClaudeOptions {
            binary: PathBuf::from("claude"),
            model: None,
            environment: Variables::default(),
            extra_args: Vec::new(),
        },
        scenario: None,
        pool: PoolOptions {
            max_instances: 8,
            max_queue: 1024,
            idle_timeout: Duration::from_secs(15 * 60),
            turn_timeout: Duration::from_secs(30 * 60),
            drain_timeout: Duration::from_secs(30),
        },
        module_dirs: Vec::new(),
        template_dirs: Vec::new(),
        token_budget: claude_comms_context::DEFAULT_TOKEN_BUDGET,
        max_attempts: 3,
        prompt_limit_bytes: 2 << 20,
        auth: AuthMode::Token,
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
    config.instance_environment.0.extend(config.claude.environment.0.clone());
    Ok(config)
}

fn read_file(
    overrides: &Overrides,
    environment: &BTreeMap<String, String>,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let set = |name: &str| environment.get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let (path, must_exist) = match &overrides.config_file {
        Some(path) => (path.clone(), true),
        None => {
            let Some(dir) = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
            else {
                return Ok(None);
            };
            (dir.join("claude-comms/claude-comms.yaml"), false)
        }
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Map::new());
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(ConfigError::NotYaml {
            path: path.to_owned(),
            message: "the top level must be a map".to_owned(),
        }),
        Err(error) => Err(ConfigError::NotYaml { path: path.to_owned(), message: error.to_string() }),
    }
}

fn apply_tree(config: &mut Config, map: &Map<String, Value>, origin: &str, problems: &mut Vec<String>) {
    let mut levels: Vec<(String, &Value)> = map.iter().map(|(key, value)| (key.clone(), value)).collect();
    levels.reverse();
    while let Some((path, value)) = levels.pop() {
        let is_key = keys::KEYS.iter().any(|key| key.path == path);
        match value {
            Value::Object(inner) if !is_key && !keys::is_free_map(&path) && is_level(&path) => {
                levels.extend(inner.iter().rev().map(|(key, value)| (format!("{path}.{key}"), value)));
            }
            Value::Null if is_key || is_level(&path) => {}
            _ => apply(config, &path, value, origin, problems),
        }
    }
}

fn is_level(path: &str) -> bool {
    keys::KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn apply(config: &mut Config, path: &str, value: &Value, origin: &str, problems: &mut Vec<String>) {
    match keys::KEYS.iter().find(|key| key.path == path) {
        Some(key) => {
            if let Err(problem) = (key.set)(config, value) {
                problems.push(format!("{origin}: {path} {problem}"));
            }
        }
        None => problems.push(format!("{origin}: unknown key {path}{}", did_you_mean(path))),
    }
}

fn did_you_mean(path: &str) -> String {
    keys::KEYS
        .iter()
        .map(|key| (strsim::damerau_levenshtein(key.path, path), key.path))
        .min()
        .filter(|(distance, _)| *distance <= 4)
        .map_or_else(
            || format!("; known keys: {}", keys::KEYS.iter().map(|k| k.path).collect::<Vec<_>>().join(", ")),
            |(_, near)| format!("; did you mean {near}?"),
        )
}

/// A variable's text, read as YAML where the key is a list or a map, else as it stands.
fn from_environment(path: &str, text: &str) -> Value {
    if keys::is_free_map(path) || text.trim_start().starts_with('[') {
        return serde_yaml::from_str(text).unwrap_or_else(|_| Value::from(text));
    }
    Value::from(text)
}

fn path_values(paths: &[PathBuf]) -> Option<Value> {
    (!paths.is_empty()).then(|| paths.iter().map(|path| path_value(path)).collect())
}

fn path_value(path: &Path) -> Value {
    Value::from(path.to_string_lossy().into_owned())
}
