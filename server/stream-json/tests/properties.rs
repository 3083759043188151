//! What must hold for any bytes, any text and any order of lines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use claude_comms_stream_json::framing::{LineSplitter, LineTooLong};
use claude_comms_stream_json::input::{self, Input, UserMessage};
use claude_comms_stream_json::output::{self, Content};
use claude_comms_stream_json::transcript;
use claude_comms_stream_json::turn::{Outcome, TurnReader, TurnUpdate};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

const USER: Uuid = Uuid::from_u128(1);

/// Cuts `bytes` at `cuts` (taken as parts of the whole), reads them and gives every line.
fn split(bytes: &[u8], cuts: &[prop::sample::Index], limit: usize) -> Vec<Result<Vec<u8>, LineTooLong>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    let mut splitter = LineSplitter::new(limit);
    let mut lines = Vec::new();
    for (n, pair) in at.windows(2).enumerate() {
        let chunk = &bytes[pair[0]..pair[1]];
        if n % 2 == 0 {
            splitter.extend(chunk);
        } else {
            for part in chunk.chunks(4096) {
                splitter.space()[..part.len()].copy_from_slice(part);
                splitter.advance(part.len());
            }
        }
        while let Some(line) = splitter.next_line() {
            lines.push(line.map(<[u8]>::to_vec));
        }
    }
    lines
}

/// Pieces of JSON that look like messages, so that arbitrary lines get past the first look.
fn message_like() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "type",
        "subtype",
        "event",
        "delta",
        "text",
        "message",
        "content",
        "uuid",
        "id",
        "is_error",
        "result",
        "request",
        "request_id",
        "response",
        "index",
        "stop_reason",
        "model",
        "errors",
        "usage",
        "parentUuid",
    ]);
    let kind = prop::sample::select(vec![
        "stream_event",
        "assistant",
        "user",
        "result",
        "system",
        "control_request",
        "control_response",
        "init",
        "api_retry",
        "content_block_delta",
        "text_delta",
        "message_start",
        "tool_use",
        "tool_result",
        "success",
        "mcp_message",
        "command_lifecycle",
        "conversation_reset",
        "completed",
        "message_delta",
        "end_turn",
    ]);
    let leaf = prop_oneof![
        kind.prop_map(|kind| format!("{kind:?}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("00000000-0000-0000-0000-000000000001".to_owned()).prop_map(|uuid| format!("{uuid:?}")),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            4 => vec((key.clone(), inner.clone()), 0..6).prop_map(|fields| {
                let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
            1 => vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

/// A line of a turn: deltas, starts, stops, whole blocks, results of this and of other messages.
fn turn_line() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[ab]{0,2}", any::<String>()];
    let id = prop::sample::select(vec!["m", "n"]);
    let reason = prop::sample::select(vec!["end_turn", "tool_use", "max_tokens", "refusal"]);
    let event = |event: String| format!(r#"{{"type":"stream_event","event":{event},"uuid":"u"}}"#);
    let quoted = |text: &String| serde_json::to_string(text).unwrap();
    prop_oneof![
        8 => text.clone().prop_map(move |text| event(format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{}}}}}"#, quoted(&text)))),
        2 => id.clone().prop_map(move |id| event(format!(
            r#"{{"type":"message_start","message":{{"id":"{id}"}}}}"#))),
        2 => prop::sample::select(vec!["text", "thinking", "tool_use"]).prop_map(move |kind| event(format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"{kind}"}}}}"#))),
        2 => reason.prop_map(move |reason| event(format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#))),
        3 => (id, text.clone(), prop::sample::select(vec!["claude", "<synthetic>"])).prop_map(move |(id, text, model)| format!(
            r#"{{"type":"assistant","message":{{"id":"{id}","model":"{model}","content":[{{"type":"text","text":{}}}]}}}}"#, quoted(&text))),
        1 => Just(r#"{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"n","input":{}}]}}"#.to_owned()),
        1 => (text, any::<bool>(), prop::sample::select(vec![1, 2])).prop_map(move |(text, is_error, user)| format!(
            r#"{{"type":"result","subtype":"success","is_error":{is_error},"num_turns":1,"result":{},"user_message_uuids":["{}"]}}"#,
            quoted(&text), Uuid::from_u128(user))),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..300), limit in 0_usize..50) {
        let lines = split(&bytes, &[], limit);
        for line in lines.into_iter().flatten() {
            let _ = output::parse_bytes(&line);
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = input::parse(&text);
        let _ = transcript::fate(text.lines(), USER);
    }

    #[test]
    fn no_message_makes_a_reader_panic(lines in vec(message_like(), 1..8)) {
        let mut reader = TurnReader::new();
        reader.begin(USER);
        let mut updates = Vec::new();
        for line in &lines {
            let _ = input::parse(line);
            if let Ok(output) = output::parse(line) {
                reader.read(&output, &mut updates);
            }
        }
        let _ = transcript::fate(lines.iter().map(String::as_str), USER);
    }

    #[test]
    fn reads_neither_split_nor_merge_lines(
        lines in vec(vec(any::<u8>().prop_filter("no line end", |byte| *byte != b'\n'), 0..40), 0..20),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
        limit in 10_usize..60,
    ) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect();
        let expected: Vec<_> = lines
            .into_iter()
            .map(|line| if line.len() > limit { Err(LineTooLong { limit_bytes: limit }) } else { Ok(line) })
            .collect();
        prop_assert_eq!(split(&bytes, &cuts, limit), expected);
    }

    #[test]
    fn lines_longer_than_a_read_stay_whole(
        lengths in vec(0_usize..100_000, 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let lines: Vec<_> = lengths.iter().enumerate().map(|(n, length)| vec![b'a' + n as u8; *length]).collect();
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect();
        let expected: Vec<_> = lines.into_iter().map(Ok).collect();
        prop_assert_eq!(split(&bytes, &cuts, 1 << 20), expected);
    }

    #[test]
    fn any_user_text_is_one_line_and_comes_back(
        text in prop_oneof![
            any::<String>(),
            vec(prop::sample::select(vec![
                "\n", "\r\n", "\"", "\\", "\u{2028}", "\u{2029}", "\u{2027}", "\u{0}", "😀", "{\"type\":\"user\"}", "/x @y", "\u{7f}",
            ]), 0..12).prop_map(|parts| parts.concat()),
        ],
        uuid in any::<u128>().prop_map(Uuid::from_u128),
    ) {
        let mut out = b"before\n".to_vec();
        UserMessage { uuid, text: &text }.write_line(&mut out);
        let line = std::str::from_utf8(&out[7..out.len() - 1]).unwrap();
        prop_assert_eq!(out.last(), Some(&b'\n'));
        prop_assert_eq!(line.find(['\n', '\r', '\u{2028}', '\u{2029}']), None);
        let Input::User(user) = input::parse(line).unwrap() else { panic!("{line}") };
        prop_assert_eq!(user.uuid.as_deref(), Some(&*uuid.to_string()));
        prop_assert!(user.client_composed);
        let Content::Text(read) = user.content else { panic!("{line}") };
        prop_assert_eq!(&*read, &*text);
    }

    #[test]
    fn an_answer_is_the_text_since_the_last_reset(
        lines in vec(turn_line(), 0..40),
        wakes in vec(any::<bool>(), 40),
    ) {
        let mut reader = TurnReader::new();
        reader.begin(USER);
        let mut text = String::new();
        let mut ended = false;
        let mut updates = Vec::new();
        for (line, wake) in lines.iter().zip(wakes.iter().copied().chain(std::iter::repeat(true))) {
            reader.read(&output::parse(line).unwrap(), &mut updates);
            if !wake {
                continue;
            }
            for update in updates.drain(..) {
                prop_assert!(!ended, "{update:?} after the end");
                match update {
                    TurnUpdate::Text(piece) => {
                        prop_assert!(!piece.is_empty());
                        text.push_str(&piece);
                    }
                    TurnUpdate::Reset { .. } => {
                        prop_assert!(!text.is_empty(), "a reset without text");
                        text.clear();
                    }
                    TurnUpdate::End(end) => {
                        ended = true;
                        if let Outcome::Answer { text: answer } = &end.outcome {
                            prop_assert_eq!(answer, &text);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
