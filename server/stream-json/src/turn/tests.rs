//! Tests of the turn reader by hand-made lines; the recordings are in `tests/recorded.rs`.

use uuid::Uuid;

use super::*;
use crate::output::parse;

const USER: Uuid = Uuid::from_u128(1);

fn read(lines: &[&str]) -> Vec<TurnUpdate> {
    let mut reader = TurnReader::new();
    reader.begin(USER);
    read_on(&mut reader, lines)
}

fn read_on(reader: &mut TurnReader, lines: &[&str]) -> Vec<TurnUpdate> {
    let mut updates = Vec::new();
    for line in lines {
        reader.read(&parse(line).unwrap(), &mut updates);
    }
    // What messages take is told in between, and has its own tests.
    updates.retain(|update| !matches!(update, TurnUpdate::Usage { .. }));
    updates
}

fn event(event: &str) -> String {
    format!(
        r#"{{"type":"stream_event","event":{event},"session_id":"s","parent_tool_use_id":null,"uuid":"u"}}"#
    )
}

fn start(id: &str) -> String {
    event(&format!(r#"{{"type":"message_start","message":{{"id":"{id}"}}}}"#))
}

fn delta(text: &str) -> String {
    event(&format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
    ))
}

fn stop(reason: &str) -> String {
    event(&format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#))
}

fn result(text: &str, more: &str) -> String {
    format!(r#"{{"subtype":"success","is_error":false,"result":"{text}"{more},"type":"result"}}"#)
}

fn end(updates: &[TurnUpdate]) -> &TurnEnd {
    match updates.last() {
        Some(TurnUpdate::End(end)) => end,
        other => panic!("no end but {other:?}"),
    }
}

#[test]
fn one_wake_is_one_text() {
    let updates = read(&[&start("m"), &delta("a"), &delta("b"), &delta("c")]);
    assert_eq!(updates, [TurnUpdate::OutputBegan, TurnUpdate::Text("abc".to_owned())]);
}

#[test]
fn a_result_of_another_message_does_not_end_the_turn() {
    let other = r#","num_turns":1,"user_message_uuids":["00000000-0000-0000-0000-000000000002"]"#;
    let ours = r#","num_turns":1,"user_message_uuids":["x","00000000-0000-0000-0000-000000000001"]"#;
    assert_eq!(read(&[&result("no", other), &result("no", r#","num_turns":0"#)]), []);
    let updates = read(&[&result("no", other), &result("yes", ours)]);
    assert_eq!(end(&updates).outcome, Outcome::Answer { text: "yes".to_owned() });
}

#[test]
fn nothing_is_told_after_the_end() {
    let mut reader = TurnReader::new();
    reader.begin(USER);
    let first = read_on(&mut reader, &[&start("m"), &delta("a"), &result("a", "")]);
    assert_eq!(end(&first).outcome, Outcome::Answer { text: "a".to_owned() });
    assert_eq!(read_on(&mut reader, &[&start("n"), &delta("b"), &result("b", "")]), []);
}

#[test]
fn a_missing_tail_is_appended_and_another_text_replaces() {
    let tail = read(&[&start("m"), &delta("one "), &result("one two", "")]);
    assert_eq!(tail[..2], [TurnUpdate::OutputBegan, TurnUpdate::Text("one two".to_owned())]);
    let other = read(&[&start("m"), &delta("one "), &result("two", "")]);
    let reset = TurnUpdate::Reset { reason: ResetReason::Replaced };
    assert_eq!(other[1..4], [TurnUpdate::Text("one ".to_owned()), reset, TurnUpdate::Text("two".to_owned())]);
}

#[test]
fn text_before_a_tool_call_is_void_once_the_next_message_begins() {
    let tool = r#"{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"n","input":{"a":[1]}}]}}"#;
    let updates = read(&[&start("m"), &delta("Let me see"), tool, &stop("tool_use"), &start("n")]);
    let call = TurnUpdate::ToolCall { id: "t".into(), name: "n".into(), input_json: r#"{"a":[1]}"#.into() };
    assert_eq!(updates[2..], [call, TurnUpdate::Reset { reason: ResetReason::ToolUse }]);
}

#[test]
fn a_message_that_begins_anew_resets_only_if_there_was_text() {
    let retry = TurnUpdate::Reset { reason: ResetReason::Retry };
    assert_eq!(read(&[&start("m"), &delta("a"), &start("n")])[2..], [retry]);
    assert_eq!(read(&[&start("m"), &start("n")]), [TurnUpdate::OutputBegan]);
}

#[test]
fn made_up_messages_and_subagents_never_become_text() {
    let made_up = r#"{"type":"assistant","message":{"id":"m","model":"<synthetic>","content":[{"type":"text","text":"API Error"}]},"uuid":"u"}"#;
    let subagent = r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"sub"}]},"parent_tool_use_id":"t"}"#;
    let streamed = delta("sub").replace(r#""parent_tool_use_id":null"#, r#""parent_tool_use_id":"t""#);
    assert_eq!(read(&[made_up, subagent, &streamed]), []);
}

#[test]
fn costs_are_those_of_the_turn_alone() {
    let mut reader = TurnReader::new();
    let cost = |reader: &mut TurnReader, more: &str| {
        reader.begin(USER);
        end(&read_on(reader, &[&result("a", more)])).cost_usd
    };
    assert_eq!(cost(&mut reader, r#","total_cost_usd":0.5"#), 0.5);
    // A result outside of turns counts too.
    read_on(&mut reader, &[&result("a", r#","total_cost_usd":1.0"#)]);
    assert_eq!(cost(&mut reader, r#","total_cost_usd":1.25"#), 0.25);
    let resumed = r#","total_cost_usd":9.0,"model_usage_since_last_result":{"x":{"costUSD":0.5},"y":{"costUSD":0.125}}"#;
    assert_eq!(cost(&mut reader, resumed), 0.625);
    assert_eq!(cost(&mut reader, r#","total_cost_usd":0.125"#), 0.125);
}

#[test]
fn a_message_the_cli_drops_from_its_queue_ends_as_aborted() {
    let line = |state: &str, user: Uuid| {
        format!(r#"{{"type":"command_lifecycle","command_uuid":"{user}","state":"{state}"}}"#)
    };
    assert_eq!(read(&[&line("started", USER), &line("cancelled", Uuid::from_u128(2))]), []);
    assert_eq!(end(&read(&[&line("cancelled", USER)])).outcome, Outcome::Aborted);
}

#[test]
fn failures_without_a_status_are_told_by_their_text() {
    for (text, reason) in [
        ("API Error: Connection error.", FailureReason::ApiUnreachable),
        ("API Error: Unable to connect (ECONNRESET)", FailureReason::ApiUnreachable),
        ("Request timed out.", FailureReason::ApiTimeout),
        ("Not logged in · Please run /login", FailureReason::NotLoggedIn),
        ("Prompt is too long", FailureReason::PromptTooLong),
        ("something new", FailureReason::ExecutionError),
    ] {
        let line = result(text, "").replace(r#""is_error":false"#, r#""is_error":true"#);
        let updates = read(&[&line]);
        let expected = Outcome::Failed { reason, http_status: None, message: text.to_owned() };
        assert_eq!(end(&updates).outcome, expected);
    }
}

#[test]
fn what_no_turn_can_have_caused_is_noticed_and_told_to_none() {
    let mut reader = TurnReader::new();
    reader.begin(USER);
    let first = result("one", r#","uuid":"r1","num_turns":1"#);
    read_on(&mut reader, &[&start("m1"), &delta("one"), &stop("end_turn"), &first]);
    assert_eq!(reader.take_stray(), None);
    assert_eq!(read_on(&mut reader, &[&result("two", "")]), []);
    assert_eq!((reader.take_stray(), reader.take_stray()), (Some(Stray::Result), None), "told once");
    // The CLI's own answer to some command, which costs no call.
    read_on(&mut reader, &[&result("", r#","num_turns":0"#)]);
    assert_eq!(reader.take_stray(), None);
    assert_eq!(read_on(&mut reader, &[&start("m2"), &delta("late")]), []);
    assert_eq!(reader.take_stray(), Some(Stray::Output));
    // The same line once more, when the next turn runs already: it has no name, and is known by its own id.
    reader.begin(Uuid::from_u128(2));
    assert_eq!(read_on(&mut reader, &[&first]), []);
    assert_eq!(reader.take_stray(), Some(Stray::Result));
    let named = format!(r#","user_message_uuids":["{USER}"]"#);
    assert_eq!(read_on(&mut reader, &[&result("of the other", &named)]), []);
    assert_eq!(reader.take_stray(), Some(Stray::Result));
    let updates = read_on(&mut reader, &[&start("m3"), &delta("two"), &stop("end_turn"), &result("two", "")]);
    assert_eq!(end(&updates).outcome, Outcome::Answer { text: "two".to_owned() });
    assert_eq!(reader.take_stray(), None);
}

#[test]
fn the_refusal_of_a_session_before_any_turn_is_no_stray_result() {
    let mut reader = TurnReader::new();
    read_on(&mut reader, &[&result("", r#","num_turns":0"#).replace("false", "true")]);
    assert_eq!(reader.take_stray(), None);
}
