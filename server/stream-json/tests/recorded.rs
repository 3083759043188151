//! Recorded stdout of the CLI 2.1.330 (against a stand-in of the Messages API), and what the turn reader makes of it.
//!
//! `recorded/x.txt` is the expectation for `recorded/x.jsonl`: one update a line. A recording starts with the process;
//! paths, ids and the bulk of the `initialize` answer are replaced.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::Path;

use claude_comms_stream_json::output::{Answer, InitializeResponse, Output};
use claude_comms_stream_json::turn::TurnReader;
use support::{outputs, recordings, replay};

#[test]
fn each_recording_gives_its_updates() {
    let all = recordings();
    assert!(all.len() > 40, "recordings are missing");
    for (name, bytes) in all {
        let told = replay(&bytes).join("\n");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{name}.txt"));
        let expected = fs::read_to_string(path).unwrap();
        assert_eq!(told, expected.trim_end_matches('\n'), "{name}");
    }
}

#[test]
fn no_recorded_kind_is_unknown_but_those_nobody_needs() {
    let mut unknown: Vec<String> = Vec::new();
    for (_, bytes) in recordings() {
        outputs(&bytes, |output| {
            if let Output::Unknown(line) = output {
                assert!(line.raw.contains(&*line.kind));
                unknown.push(format!("{}/{}", line.kind, line.subtype.as_deref().unwrap_or("")));
            }
        });
    }
    unknown.sort();
    unknown.dedup();
    let expected = [
        "system/background_tasks_changed",
        "system/informational",
        "system/model_refusal_no_fallback",
        "system/ui_invalidate",
    ];
    assert_eq!(unknown, expected);
}

#[test]
fn the_answer_to_initialize_names_the_process() {
    let (_, bytes) = recordings().into_iter().find(|(name, _)| name == "plain_turn").unwrap();
    let mut found = None;
    outputs(&bytes, |output| {
        if let Output::ControlResponse(response) = output
            && let Answer::Success(Some(body)) = response.answer
        {
            assert_eq!(response.request_id, "i1");
            found = Some(InitializeResponse::parse(body).unwrap());
        }
    });
    let found = found.unwrap();
    assert_eq!(found.pid, Some(4242));
    assert_eq!(found.claude_code_version.as_deref(), Some("2.1.330"));
    assert!(found.capabilities.iter().any(|name| name == "ui_surface_v1"));
}

#[test]
fn a_turn_nobody_began_tells_only_who_the_cli_is() {
    for (name, bytes) in recordings() {
        let mut reader = TurnReader::new();
        let mut updates = Vec::new();
        outputs(&bytes, |output| reader.read(&output, &mut updates));
        assert!(updates.iter().all(support::is_about_the_session), "{name}: {updates:?}");
    }
}
