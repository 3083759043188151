//! Values as users write them, read: each says what it must be. Knows no setting.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde_json::Value;

use super::Dollars;
use crate::pool::Warm;

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

/// Modules, or pairs `source>target`.
pub(super) fn warm(value: &Value) -> Result<Vec<String>, String> {
    let all = strings(value)?;
    match all.iter().find(|text| Warm::parse(text).is_none()) {
        Some(bad) => Err(format!("must name modules, or pairs as source>target, not {bad:?}")),
        None => Ok(all),
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

/// More than anybody spends on a day.
const MOST_DOLLARS: f64 = 1e9;

pub(super) fn dollars(value: &Value) -> Result<Dollars, String> {
    let parse = |text: &str| text.trim().trim_start_matches('$').parse::<f64>().ok();
    let amount = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => parse(text),
        _ => None,
    };
    amount
        .map(Dollars::of)
        .filter(|amount| *amount > Dollars(0) && f64::from(*amount) <= MOST_DOLLARS)
        .ok_or_else(|| format!("must be US dollars above 0, such as 0.5 or 20, not {value}"))
}

/// Units of a size, largest first.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
];

/// A size; a bare number is bytes.
pub(super) fn bytes(value: &Value, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let parse = |text: &str| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = (digits.trim().parse::<u64>().ok()?, &text[digits.len()..]);
        let factor = match unit {
            "" | "B" => 1,
            _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
        };
        number.checked_mul(factor)
    };
    let size = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse(text.trim()),
        _ => None,
    };
    size.filter(|size| range.contains(size)).ok_or_else(|| {
        format!(
            "must be a size such as 512MiB or 2GiB, from {} to {}, not {value}",
            sized(*range.start()),
            sized(*range.end())
        )
    })
}

/// A size as one would write it.
pub(super) fn sized(bytes: u64) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.contains('i'));
    let fits = binary.clone().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    fits.map_or_else(|| bytes.to_string(), |(name, factor)| format!("{}{name}", bytes / factor))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_size_is_read_in_every_unit_and_shown_as_one_would_write_it() {
        let all = 1..=u64::MAX;
        for (written, size, shown) in [
            (json!("512MiB"), 512 << 20, "512MiB"),
            (json!("2GiB"), 2 << 30, "2GiB"),
            (json!("1 GiB"), 1 << 30, "1GiB"),
            (json!("3mb"), 3_000_000, "3000000"),
            (json!("1024KiB"), 1 << 20, "1MiB"),
            (json!("1TB"), 1_000_000_000_000, "976562500KiB"),
            (json!("7"), 7, "7"),
            (json!("7B"), 7, "7"),
            (json!(4096), 4096, "4KiB"),
        ] {
            assert_eq!(bytes(&written, &all), Ok(size), "{written}");
            assert_eq!(sized(size), shown);
            assert_eq!(bytes(&json!(shown), &all), Ok(size));
        }
    }

    #[test]
    fn dollars_are_read_to_the_billionth_and_what_is_none_is_refused() {
        for (written, amount) in
            [(json!(0.5), 0.5), (json!(20), 20.0), (json!("0.25"), 0.25), (json!("$3"), 3.0)]
        {
            assert_eq!(dollars(&written).map(f64::from), Ok(amount), "{written}");
        }
        for bad in [
            json!(0),
            json!(-1),
            json!("free"),
            json!(""),
            json!(1e12),
            json!("NaN"),
            json!("inf"),
            json!([1]),
        ] {
            assert!(dollars(&bad).unwrap_err().contains("must be US dollars above 0"), "{bad}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_words() {
        for bad in [
            json!("much"),
            json!(""),
            json!("MiB"),
            json!("1.5GiB"),
            json!("-1MiB"),
            json!("5 apples"),
            json!("99999999999TiB"),
            json!(-1),
            json!(1.5),
            json!(true),
            json!([]),
            json!("1MiB"),
        ] {
            let words = bytes(&bad, &(2 << 20..=1 << 50)).unwrap_err();
            assert!(words.contains("from 2MiB to 1024TiB, not"), "{words}");
        }
    }
}
