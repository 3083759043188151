//! Interrupts, messages of priority, and what follows them.

use claude_comms_stream_json::turn::Outcome;
use serde_json::json;

use super::harness::{Machine, interrupt, request, user, uuid};
use crate::session::Ending;

#[test]
fn an_interrupt_ends_a_hanging_turn_with_the_lines_of_the_real_cli() {
    let machine = Machine::new("turns: [{ when: { contains: wait }, steps: [{ text: half }, hang] }]");
    let ran = machine.run(&[], &[user(uuid(1), "wait"), interrupt(), user(uuid(2), "next")]);
    let story = ran.story();
    let from = story.iter().position(|line| line == "response success").unwrap();
    let expected = [
        "response success",
        "assistant text half",
        "user text [Request interrupted by user]",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "result error_during_execution aborted_streaming",
        "completed",
    ];
    assert_eq!(story[from..from + expected.len()], expected);
    assert_eq!(ran.end(uuid(1)).0.outcome, Outcome::Aborted);
    assert!(ran.end(uuid(2)).1.contains("turn 2"), "the process goes on, and the note is no prompt");
    assert_eq!(ran.ending, Ending::Exit(0));
}

#[test]
fn an_interrupt_before_any_output_has_no_assistant_line() {
    let machine = Machine::new("turns: [{ steps: [hang] }]");
    let ran = machine.run(&[], &[user(uuid(1), "x"), interrupt()]);
    assert!(!ran.story().iter().any(|line| line.starts_with("assistant")));
    assert_eq!(ran.end(uuid(1)).0.outcome, Outcome::Aborted);
    assert_eq!(ran.ending, Ending::Exit(1), "the last result was an error");
}

#[test]
fn an_interrupt_cuts_a_delay_and_a_long_answer() {
    for step in ["{ delay_ms: 3600000 }", "{ repeat: { text: x, count: 1000000000 } }"] {
        let machine = Machine::new(&format!("turns: [{{ steps: [{step}] }}]"));
        let ran = machine.run(&[], &[user(uuid(1), "x"), interrupt()]);
        assert_eq!(ran.end(uuid(1)).0.outcome, Outcome::Aborted);
    }
}

#[test]
fn an_interrupt_when_idle_is_acknowledged_and_nothing_else() {
    let ran = Machine::new("").run(&[], &[interrupt()]);
    assert_eq!(ran.story(), ["response success"]);
    assert_eq!(ran.lines()[0]["response"]["response"], json!({ "still_queued": [], "cancelled": [] }));
}

#[test]
fn messages_that_wait_are_named_or_cancelled_by_an_interrupt() {
    let machine = Machine::new("turns: [{ when: { equals: a }, steps: [hang] }]");
    let kept = machine.run(&[], &[user(uuid(1), "a"), user(uuid(2), "b"), user(uuid(3), "c"), interrupt()]);
    let answer = kept.lines().into_iter().find(|line| line["type"] == "control_response").unwrap();
    assert_eq!(answer["response"]["response"]["still_queued"], json!([uuid(2), uuid(3)]));
    let last = kept.results().pop().unwrap();
    assert_eq!(
        last["user_message_uuids"],
        json!([uuid(2), uuid(3)]),
        "what waited is one call and one result"
    );

    let cancel = request("stop", json!({ "subtype": "interrupt", "cancel_queued": true }));
    let gone = machine.run(&[], &[user(uuid(1), "a"), user(uuid(2), "b"), cancel]);
    assert_eq!(gone.results().len(), 1);
    assert!(gone.story().contains(&"cancelled".to_owned()));
}

#[test]
fn a_message_of_priority_now_aborts_the_turn_and_runs() {
    let machine = Machine::new("turns: [{ when: { equals: a }, steps: [hang] }]");
    let now = json!({
        "type": "user", "message": { "role": "user", "content": "b" }, "uuid": uuid(2), "priority": "now",
    });
    let ran = machine.run(&[], &[user(uuid(1), "a"), now.to_string()]);
    let story = ran.story();
    assert!(story.contains(&"result success aborted_streaming".to_owned()), "{story:?}");
    assert!(ran.end(uuid(2)).1.contains("\"b\""));
}
