//! The keys of the configuration file, each with what it does to a [`Config`].

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{AuthMode, BackendKind, Config, Variables};
use crate::listen;

/// One setting.
pub(super) struct Key {
    /// Its path in the file, levels divided by a dot.
    pub path: &'static str,
    /// Takes a value.
    pub set: fn(&mut Config, &Value) -> Result<(), String>,
}

/// Every setting there is.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "listen",
        set: |c, v| {
            strings(v)?.iter().map(|e| listen::parse(e)).collect::<Result<_, _>>().map(|l| c.listen = l)
        },
    },
    Key { path: "data_dir", set: |c, v| path(v).map(|p| c.data_dir = p) },
    Key { path: "backend", set: |c, v| backend(v).map(|b| c.backend = b) },
    Key { path: "claude.binary", set: |c, v| path(v).map(|p| c.claude.binary = p) },
    Key { path: "claude.model", set: |c, v| text(v).map(|m| c.claude.model = Some(m)) },
    Key { path: "claude.environment", set: |c, v| variables(v).map(|e| c.claude.environment = Variables(e)) },
    Key { path: "claude.extra_args", set: |c, v| strings(v).map(|a| c.claude.extra_args = a) },
    Key { path: "simulated.scenario", set: |c, v| path(v).map(|p| c.scenario = Some(p)) },
    Key { path: "pool.max_instances", set: |c, v| count(v, 1..=10_000).map(|n| c.pool.max_instances = n) },
    Key { path: "pool.max_queue", set: |c, v| count(v, 0..=1_000_000).map(|n| c.pool.max_queue = n) },
    Key { path: "pool.idle_timeout", set: |c, v| span(v).map(|d| c.pool.idle_timeout = d) },
    Key { path: "pool.turn_timeout", set: |c, v| span(v).map(|d| c.pool.turn_timeout = d) },
    Key { path: "pool.drain_timeout", set: |c, v| span(v).map(|d| c.pool.drain_timeout = d) },
    Key { path: "module_dirs", set: |c, v| paths(v).map(|p| c.module_dirs = p) },
    Key { path: "template_dirs", set: |c, v| paths(v).map(|p| c.template_dirs = p) },
    Key {
        path: "context.token_budget",
        set: |c, v| count(v, 500..=200_000).map(|n| c.token_budget = u32::try_from(n).unwrap_or(u32::MAX)),
    },
    Key { path: "retry.max_attempts", set: |c, v| count(v, 1..=10).map(|n| c.max_attempts = n as u32) },
    Key { path: "limits.prompt_bytes", set: |c, v| count(v, 1..=64 << 20).map(|n| c.prompt_limit_bytes = n) },
    Key { path: "auth.mode", set: |c, v| auth(v).map(|m| c.auth = m) },
];

/// Whether a path is a map of its own, whose keys are free.
pub(super) fn is_free_map(path: &str) -> bool {
    path == "claude.environment"
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("must be a text that is not empty, not {other}")),
    }
}

fn path(value: &Value) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(one) => {
            Ok(one.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
        }
        other => Err(format!("must be a list of texts, not {other}")),
    }
}

fn paths(value: &Value) -> Result<Vec<PathBuf>, String> {
    strings(value).map(|paths| paths.into_iter().map(PathBuf::from).collect())
}

fn variables(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let Value::Object(map) = value else {
        return Err(format!("must be a map of variables, not {}", kind(value)));
    };
    map.iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
            other => Err(format!("{name} must be a text, not {}", kind(other))),
        })
        .collect()
}

/// What a value is, for messages that must not show a secret.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn count(value: &Value, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|n| usize::try_from(n).ok()).filter(|n| range.contains(n)).ok_or_else(|| {
        format!("must be a whole number from {} to {}, not {value}", range.start(), range.end())
    })
}

fn span(value: &Value) -> Result<Duration, String> {
    let parsed = match value {
        Value::String(text) => humantime::parse_duration(text).ok(),
        Value::Number(seconds) => seconds.as_u64().map(Duration::from_secs),
        _ => None,
    };
    parsed
        .filter(|d| !d.is_zero() && *d <= Duration::from_secs(366 * 24 * 3600))
        .ok_or_else(|| format!("must be a span of time such as 90s, 10m or 2h, not {value}"))
}

fn backend(value: &Value) -> Result<BackendKind, String> {
    match value.as_str() {
        Some("claude") => Ok(BackendKind::Claude),
        Some("simulated") => Ok(BackendKind::Simulated),
        _ => Err(format!("must be claude or simulated, not {value}")),
    }
}

fn auth(value: &Value) -> Result<AuthMode, String> {
    match value.as_str() {
        Some("token") => Ok(AuthMode::Token),
        Some("none") => Ok(AuthMode::None),
        _ => Err(format!("must be token or none, not {value}")),
    }
}
