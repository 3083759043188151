//! Values as users write them, read: each says what it must be. Knows no setting.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde_json::Value;

/// Longest span of time.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("must be a text that is not empty, not {other}")),
    }
}

pub(super) fn path(value: &Value) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

pub(super) fn strings(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(one) => {
            Ok(one.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
        }
        other => Err(format!("must be a list of texts, not {other}")),
    }
}

pub(super) fn paths(value: &Value) -> Result<Vec<PathBuf>, String> {
    strings(value).map(|paths| paths.into_iter().map(PathBuf::from).collect())
}

pub(super) fn variables(value: &Value) -> Result<BTreeMap<String, String>, String> {
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

pub(super) fn count(value: &Value, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|n| usize::try_from(n).ok()).filter(|n| range.contains(n)).ok_or_else(|| {
        format!("must be a whole number from {} to {}, not {value}", range.start(), range.end())
    })
}

pub(super) fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(format!("must be true or false, not {other}")),
    }
}

/// A span of time; a bare number is seconds.
pub(super) fn span(value: &Value) -> Result<Duration, String> {
    let parsed = match value {
        Value::String(text) => match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => humantime::parse_duration(text).ok(),
        },
        Value::Number(seconds) => seconds.as_u64().map(Duration::from_secs),
        _ => None,
    };
    parsed.filter(|d| !d.is_zero() && *d <= LONGEST).ok_or_else(|| {
        format!("must be a span of time such as 90s, 10m or 2h, longer than nothing and a year at most, not {value}")
    })
}

pub(super) fn choice<'a>(value: &'a Value, of: &[&str]) -> Result<&'a str, String> {
    value.as_str().filter(|text| of.contains(text)).ok_or_else(|| {
        let (last, rest) = of.split_last().expect("a choice has words");
        format!("must be {} or {last}, not {value}", rest.join(", "))
    })
}
