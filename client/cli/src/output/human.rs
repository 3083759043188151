//! Values in the words of people: times, sizes, costs, states. Pure.

use std::time::{Duration, SystemTime};

use claude_comms_client::v1::Usage;
use prost_types::Timestamp;

/// The last 8 characters: UUIDv7 made in one minute share their first.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

/// `FAILED` of `TURN_STATE_FAILED`.
pub(crate) fn state(name: &str) -> &str {
    let after = |mark| name.split_once(mark).map(|(_, state)| state);
    after("_STATE_").or_else(|| after("_STATUS_")).unwrap_or(name)
}

/// Text that may go to a terminal: newlines and tabs stay, other control characters are shown and not obeyed.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            // C1 controls, and the marks that turn the direction of what follows.
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Printable text on one line.
pub(crate) fn one_line(text: &str) -> String {
    let head: String = text.chars().take(400).map(|c| if c == '\u{2060}' { ' ' } else { c }).collect();
    printable(head.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
}

/// How long ago; `-` when never.
pub(super) fn ago(time: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(time) = time.and_then(|time| SystemTime::try_from(*time).ok()) else { return "-".into() };
    // A clock that is a little behind the server's must not show the future.
    let seconds = now.duration_since(time).unwrap_or_default().as_secs();
    match seconds {
        0..=1 => "now".into(),
        2..=119 => format!("{seconds}s ago"),
        120..=7199 => format!("{}m ago", seconds / 60),
        7200..=172_799 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A time to the second, in UTC; `-` when never.
pub(super) fn time(time: Option<&Timestamp>) -> String {
    match time.and_then(|time| SystemTime::try_from(*time).ok()) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "-".into(),
    }
}

/// A time of its day to the millisecond, in UTC; as many spaces without one.
pub(crate) fn of_day(time: Option<&Timestamp>) -> String {
    let text = time.and_then(|time| SystemTime::try_from(*time).ok()).map(humantime::format_rfc3339_millis);
    text.and_then(|text| text.to_string().get(11..23).map(str::to_owned)).unwrap_or_else(|| " ".repeat(12))
}

/// The time between two moments; `None` unless both are there.
pub(crate) fn span(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<Duration> {
    let (from, to) = (SystemTime::try_from(*from?).ok()?, SystemTime::try_from(*to?).ok()?);
    to.duration_since(from).ok()
}

/// `840 ms`, `3.2 s`, `4m 10s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 1 {
        format!("{} ms", duration.as_millis())
    } else if seconds < 100 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        humantime::format_duration(Duration::from_secs(seconds)).to_string()
    }
}

/// `43.2 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `$0.0123`; `-` for nothing.
pub(crate) fn cost(usd: f64) -> String {
    if usd == 0.0 {
        "-".into()
    } else if usd < 1.0 {
        format!("${usd:.4}")
    } else {
        format!("${usd:.2}")
    }
}

/// `12 in, 34 out`; `-` for none.
pub(crate) fn tokens(usage: Option<&Usage>) -> String {
    let Some(usage) = usage else { return "-".into() };
    let cached = usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
    match (usage.input_tokens + cached, usage.output_tokens) {
        (0, 0) => "-".into(),
        (input, output) => format!("{input} in, {output} out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\tc\nd\x07\u{9b}2J\u{202e}"), "a␛[31mb\tc\nd␇\u{fffd}2J\u{fffd}");
        assert_eq!(one_line("  a\n\n b\u{2060}c "), "a b c");
    }

    #[test]
    fn short_ids_are_the_last_eight_characters() {
        assert_eq!(short_id("019aab00-1111-7222-8333-0123456789ab"), "456789ab");
        assert_eq!(short_id("abc"), "abc");
        assert_eq!(short_id("ééééé"), "éééé");
    }

    #[test]
    fn spans_and_sizes_read_well() {
        let text = |millis| duration(Duration::from_millis(millis));
        assert_eq!([text(0), text(840), text(3240), text(250_000)], ["0 ms", "840 ms", "3.2 s", "4m 10s"]);
        assert_eq!([bytes(0), bytes(1024), bytes(45_298_483)], ["0 B", "1.0 KiB", "43.2 MiB"]);
        assert_eq!([cost(0.0), cost(0.01234), cost(12.3)], ["-", "$0.0123", "$12.30"]);
    }

    #[test]
    fn times_are_told_from_now_and_never_from_the_future() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let text = |seconds| ago(Some(&Timestamp { seconds, nanos: 0 }), now);
        assert_eq!(text(999_970), "30s ago");
        assert_eq!(text(1_000_005), "now");
        assert_eq!(text(996_000), "66m ago");
        assert_eq!(text(0), "11d ago");
        assert_eq!(ago(None, now), "-");
    }
}
