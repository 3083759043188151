//! The line that comes once a token, read at the shape in which the CLI prints it. What is not of that shape to the
//! last byte is `None` here and read as any other line, so that a release that prints it otherwise costs time only.

use std::borrow::Cow;

use super::event::{Event, StreamEvent};

/// Up to the index (2.1.330, all of `tests/recorded`).
const HEAD: &str = r#"{"type":"stream_event","event":{"type":"content_block_delta","index":"#;
const TEXT: &str = r#","delta":{"type":"text_delta","text":"#;
const SESSION: &str = r#"}},"session_id":"#;
const UUID: &str = r#","parent_tool_use_id":null,"uuid":"#;
/// May be missing.
const MESSAGE: &str = r#","api_message_id":"#;

/// Reads a `text_delta` line.
pub(super) fn parse(line: &str) -> Option<StreamEvent<'_>> {
    let (index, rest) = index(line.strip_prefix(HEAD)?)?;
    let (text, rest) = string(rest.strip_prefix(TEXT)?)?;
    let (session_id, rest) = string(rest.strip_prefix(SESSION)?)?;
    let (uuid, mut rest) = string(rest.strip_prefix(UUID)?)?;
    if let Some(message) = rest.strip_prefix(MESSAGE) {
        rest = string(message)?.1;
    }
    (rest == "}").then_some(StreamEvent {
        event: Event::TextDelta { index, text },
        session_id: Some(session_id),
        parent_tool_use_id: None,
        uuid: Some(uuid),
    })
}

/// A JSON number that can be an index, and what follows it.
fn index(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if leading_zero { None } else { Some((digits.parse().ok()?, rest)) }
}

/// A JSON string from its first quote on, and what follows it.
fn string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let mut bytes = inner.bytes().enumerate();
    let end = loop {
        match bytes.next()? {
            (at, b'"') => break at,
            (_, b'\\') => {
                escaped = true;
                bytes.next()?;
            }
            (_, 0..0x20) => return None,
            _ => {}
        }
    };
    let read = match escaped {
        false => Cow::Borrowed(&inner[..end]),
        true => Cow::Owned(serde_json::from_str(&text[..end + 2]).ok()?),
    };
    Some((read, &inner[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::head::parse_any;
    use super::*;

    /// Whether the line is read here; if so, as it is read at length.
    fn agrees(line: &str) -> bool {
        let Some(read) = parse(line) else { return false };
        let at_length = parse_any(line).expect("what is read here is a good line");
        assert_eq!(
            format!("{:?}", super::super::Output::StreamEvent(read)),
            format!("{at_length:?}"),
            "{line}"
        );
        true
    }

    fn printed(index: u32, strings: [&str; 4], with_message: bool) -> String {
        let [text, session, uuid, message] = strings.map(|s| serde_json::to_string(s).unwrap());
        let message = if with_message { format!("{MESSAGE}{message}") } else { String::new() };
        format!("{HEAD}{index}{TEXT}{text}{SESSION}{session}{UUID}{uuid}{message}}}")
    }

    #[test]
    fn nothing_but_the_printed_shape_is_read() {
        let line = printed(0, ["a", "s", "u", "m"], true);
        assert!(agrees(&line));
        for (from, to) in [
            ("\"index\":0", "\"index\":00"),
            ("\"index\":0", "\"index\":-1"),
            ("\"index\":0", "\"index\":4294967296"),
            ("\"index\":0", "\"index\": 0"),
            ("\"text\":\"a\"", "\"text\":null"),
            ("\"a\"", "\"\\x\""),
            ("\"a\"", "\"\t\""),
            ("\"a\"", "\"a\\\""),
            ("null", "\"toolu_1\""),
            ("}}", "},\"later\":1}"),
            ("\"m\"}", "\"m\""),
            ("\"m\"}", "\"m\"} "),
            ("\"m\"}", "\"m\",\"later\":1}"),
        ] {
            let other = line.replacen(from, to, 1);
            assert!(other != line && parse(&other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_printed_delta_is_read_as_at_length(
            index in any::<u32>(), text in any::<String>(), session in any::<String>(), uuid in any::<String>(),
            message in any::<String>(), with_message in any::<bool>(),
        ) {
            prop_assert!(agrees(&printed(index, [&text, &session, &uuid, &message], with_message)));
        }

        #[test]
        fn a_damaged_delta_is_never_read_otherwise_than_at_length(
            text in "[a-z\\\\\"\n é]{0,4}", at in any::<prop::sample::Index>(), put in any::<Option<char>>(),
        ) {
            let mut line = printed(0, [&text, "s", "u", "m"], true);
            let at = at.index(line.chars().count());
            let place = line.char_indices().nth(at).map(|(place, _)| place).unwrap();
            line.remove(place);
            if let Some(put) = put {
                line.insert(place, put);
            }
            agrees(&line);
        }
    }
}
