//! Texts for strings: by format, by pattern, or plain ones that tell what they are.

use serde_json::Value;

use super::conjunction::Conjunction;
use super::pattern;

const PLAIN: &str = "simulated";
/// Most characters that are made because so many have to be there.
const MAX_CHARS: usize = 64 * 1024;
/// How much longer a pattern's match is made, step by step, to have the characters it needs.
const MAX_EXTRA: usize = 256;

/// The `nth` of different texts; 0 is the simplest.
pub(super) fn text(all: &Conjunction<'_>, nth: usize) -> String {
    let least = all.at_least("minLength", MAX_CHARS);
    let most = all.at_most("maxLength");
    let format = all.all("format").find_map(Value::as_str);
    if let Some(text) = format.and_then(|format| formatted(format, nth)) {
        return text;
    }
    if let Some(pattern) = all.all("pattern").find_map(Value::as_str) {
        let longer = (nth..=nth + least.min(MAX_EXTRA)).map_while(|extra| pattern::matching(pattern, extra));
        let mut last = None;
        for text in longer {
            let enough = text.chars().count() >= least;
            last = Some(text);
            if enough {
                break;
            }
        }
        if let Some(text) = last {
            return text;
        }
    }
    plain(least, most, nth)
}

fn plain(least: usize, most: usize, nth: usize) -> String {
    let number = if nth == 0 { String::new() } else { nth.to_string() };
    let digits = number.len().min(most);
    let length = (PLAIN.len() + digits).max(least).min(most);
    let mut text: String = PLAIN.chars().cycle().take(length - digits).collect();
    text.push_str(&number[number.len() - digits..]);
    text
}

fn formatted(format: &str, nth: usize) -> Option<String> {
    let day = 1 + nth % 28;
    Some(match format {
        "date" => format!("2026-01-{day:02}"),
        "date-time" => format!("2026-01-{day:02}T00:00:00Z"),
        "time" => format!("00:{:02}:{:02}Z", nth / 60 % 60, nth % 60),
        "duration" => format!("P{}D", nth + 1),
        "uri" | "uri-reference" | "iri" | "iri-reference" => format!("https://simulated.invalid/{nth}"),
        "email" | "idn-email" => format!("simulated{nth}@simulated.invalid"),
        "hostname" | "idn-hostname" => format!("host{nth}.simulated.invalid"),
        "uuid" => format!("00000000-0000-4000-8000-{nth:012}"),
        "ipv4" => format!("192.0.2.{}", nth % 256),
        "ipv6" => format!("2001:db8::{:x}", nth % 0x1_0000),
        "json-pointer" => format!("/simulated/{nth}"),
        _ => return None,
    })
}
