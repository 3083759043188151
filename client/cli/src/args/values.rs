//! Values that users type, read. Pure but for the clock.

use std::time::Duration;

use claude_comms_client::v1::TurnState;

use super::Parameter;

/// `90`, `90s`, `1m 30s`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    humantime::parse_duration(text).map_err(|_| "give a duration as in 30s, 5m or 2h".into())
}

/// As [`duration`], with a unit: a bare number would be read as days by one and as seconds by another.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).ok().filter(|span| !span.is_zero());
    span.ok_or_else(|| "give a duration as in 12h, 30d or 1y".into())
}

/// Options that stand beside a prompt.
const OPTIONS: [&str; 16] = [
    "background",
    "capability",
    "conversation",
    "data",
    "from",
    "id",
    "output",
    "param",
    "quiet",
    "request-id",
    "schema",
    "server",
    "template",
    "timeout",
    "turn-timeout",
    "verbose",
];

/// A prompt. One word that is nearly an option is no prompt: it would be asked, and paid for.
pub(super) fn prompt(text: &str) -> Result<String, String> {
    let Some(word) = text.strip_prefix("--").filter(|word| !word.contains(char::is_whitespace)) else {
        return Ok(text.into());
    };
    // An option itself comes here only after `--`, that is: on purpose.
    let near = OPTIONS.iter().min_by_key(|option| strsim::damerau_levenshtein(option, word));
    match near {
        Some(near) if *near != word && strsim::damerau_levenshtein(near, word) <= 2 && word.len() > 2 => {
            Err(format!("no such option; did you mean --{near}? (a prompt that looks so can be read from -)"))
        }
        _ => Ok(text.into()),
    }
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("give a label as KEY=VALUE".into()),
    }
}

/// Takes both `FAILED` and `TURN_STATE_FAILED`, in any case.
pub(super) fn turn_state(text: &str) -> Result<TurnState, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("TURN_STATE_").unwrap_or(&name);
    TurnState::from_str_name(&format!("TURN_STATE_{name}"))
        .filter(|state| *state != TurnState::Unspecified)
        .ok_or_else(|| "give QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED".into())
}

pub(super) fn since(text: &str) -> Result<prost_types::Timestamp, String> {
    let time = match humantime::parse_duration(text) {
        Ok(ago) => std::time::SystemTime::now().checked_sub(ago).map(Into::into),
        Err(_) => text.parse().ok(),
    };
    time.ok_or_else(|| "give a time as 2026-11-22T12:00:00Z, or how long ago, as in 10m or 3d".into())
}

/// `NAME=TEXT` or `NAME=@FILE`; a text that begins with `@` is written `@@`.
pub(super) fn parameter(text: &str) -> Result<(String, Parameter), String> {
    let wrong = || "give a parameter as NAME=TEXT or NAME=@FILE".to_owned();
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    let value = match value.strip_prefix('@') {
        Some("") => return Err(wrong()),
        Some(file) if !file.starts_with('@') => Parameter::File(file.into()),
        Some(text) => Parameter::Text(text.to_owned()),
        None => Parameter::Text(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_taken_with_and_without_their_prefix() {
        for text in ["FAILED", "failed", "TURN_STATE_FAILED"] {
            assert_eq!(turn_state(text), Ok(TurnState::Failed));
        }
        for text in ["", "UNSPECIFIED", "DONE", "TURN_STATE_"] {
            assert!(turn_state(text).is_err(), "{text}");
        }
    }

    #[test]
    fn since_takes_a_time_and_a_span() {
        let instant = prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 };
        assert_eq!(since("2026-11-22T12:00:00Z"), Ok(instant));
        assert_eq!(since("2026-11-22T13:00:00+01:00"), Ok(instant));
        let now = prost_types::Timestamp::from(std::time::SystemTime::now());
        let ago = now.seconds - since("2h").expect("span").seconds;
        assert!((7199..=7201).contains(&ago), "{ago}");
        for text in ["", "yesterday", "10", "99999999999999y"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_are_texts_or_files() {
        let text = |text: &str| Parameter::Text(text.into());
        for (typed, name, value) in [
            ("depth=2", "depth", text("2")),
            ("q=a=b", "q", text("a=b")),
            ("empty=", "empty", text("")),
            ("at=@@home", "at", text("@home")),
            ("rows=@rows.json", "rows", Parameter::File("rows.json".into())),
        ] {
            assert_eq!(parameter(typed), Ok((name.to_owned(), value)), "{typed}");
        }
        for typed in ["", "depth", "=2", "rows=@"] {
            assert!(parameter(typed).is_err(), "{typed}");
        }
    }
}
