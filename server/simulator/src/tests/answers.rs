//! What is answered without a scenario, and that any text survives.

use claude_comms_stream_json::turn::{MessageStep, Outcome, TurnUpdate};
use proptest::prelude::*;
use serde_json::json;

use super::harness::{Machine, request, user, uuid};
use crate::session::Ending;

const SESSION: &str = "22222222-2222-4222-8222-222222222222";

#[test]
fn a_plain_turn_has_the_lines_of_the_real_cli_in_their_order() {
    let machine = Machine::new("turns: [{ steps: [{ deltas: [\"a \", b] }] }]");
    let ran = machine.run(&[], &[user(uuid(1), "hello")]);
    let expected = [
        "queued",
        "started",
        "init",
        "status requesting",
        "message_start",
        "content_block_start",
        "delta a ",
        "delta b",
        "assistant text a b",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "result success completed",
        "completed",
    ];
    assert_eq!(ran.story(), expected);
    assert_eq!(ran.ending, Ending::Exit(0));
}

#[test]
fn without_partial_messages_there_are_only_whole_ones() {
    let machine = Machine::new("turns: [{ steps: [{ text: a }] }]");
    let ran = machine.run(&["--whole"], &[user(uuid(1), "hello")]);
    let expected = [
        "queued",
        "started",
        "init",
        "status requesting",
        "assistant text a",
        "result success completed",
        "completed",
    ];
    assert_eq!(ran.story(), expected);
}

#[test]
fn the_default_answer_is_marked_and_remembers_over_resume() {
    let machine = Machine::new("");
    let prompt = request("1", json!({ "subtype": "initialize", "systemPrompt": ["You are Bob."] }));
    let ran = machine
        .run(&["--session-id", SESSION], &[prompt.clone(), user(uuid(1), "one"), user(uuid(2), "two")]);
    assert!(
        ran.end(uuid(1))
            .1
            .starts_with("[simulated] You asked: \"one\"\nI was told who I am: \"You are Bob.\"")
    );
    let resumed = machine.run(&[&format!("--resume={SESSION}")], &[prompt, user(uuid(3), "three")]);
    let (end, text) = resumed.end(uuid(3));
    assert!(text.contains("This is turn 3"), "{text}");
    assert!(text.contains("The first asked: \"one\"; the one before: \"two\""), "{text}");
    assert_eq!(end.session_id, SESSION);
    assert!(matches!(end.outcome, Outcome::Answer { text: whole } if whole == text));
}

#[test]
fn the_default_answer_ends_with_data_if_data_is_demanded() {
    let question = "<question>\nhow many?\n</question>\n\n<output_format>\nThis answer must give data.\n\
        {\"properties\":{\"n\":{\"minimum\":3,\"type\":\"integer\"}},\"required\":[\"n\"],\"type\":\"object\"}\n\
        In the block: no comments.\n</output_format>\n";
    let repair = "The data of your last answer cannot be used:\n\n- x\n\nSend it again.\n\n<schema>\n{\n  \
        \"const\": \"\\u003cb\\u003e\"\n}\n</schema>\n";
    let machine = Machine::new("");
    // One message a process: those that wait together would become one turn.
    let resume = format!("--resume={SESSION}");
    let first = machine.run(&["--session-id", SESSION], &[user(uuid(1), question)]);
    let second = machine.run(&[&resume], &[user(uuid(2), repair)]);
    let third = machine.run(&[&resume], &[user(uuid(3), "thank you")]);
    let text = |n| match n {
        1 => first.end(uuid(1)).1,
        2 => second.end(uuid(2)).1,
        _ => third.end(uuid(3)).1,
    };
    assert!(text(1).starts_with("[simulated] You asked: "), "{}", text(1));
    assert!(text(1).ends_with("\nNo model has read this.\n\n```json\n{\n  \"n\": 3\n}\n```"), "{}", text(1));
    assert!(text(2).ends_with("\nNo model has read this.\n\n```json\n\"<b>\"\n```"), "{}", text(2));
    assert!(text(3).ends_with("\nNo model has read this."), "{}", text(3));
}

#[test]
fn costs_are_cumulative_and_usage_is_the_turns_own() {
    let machine = Machine::new("turns: [{ steps: [{ text: four }] }]");
    let ran = machine.run(&[], &[user(uuid(1), "1234"), user(uuid(2), "")]);
    let results = ran.results();
    // The second message came while the first turn ran, or after: either way each turn's own part is told.
    let total: f64 = results
        .iter()
        .filter_map(|r| r["model_usage_since_last_result"]["claude-simulated"]["costUSD"].as_f64())
        .sum();
    let last = results.last().unwrap();
    assert!((last["total_cost_usd"].as_f64().unwrap() - total).abs() < 1e-9, "{last}");
    assert_eq!(results[0]["usage"]["input_tokens"], 1);
    assert_eq!(results[0]["usage"]["output_tokens"], 1);
}

#[test]
fn a_chunked_turn_takes_few_writes_and_the_first_delta_does_not_wait() {
    let machine = Machine::new("turns: [{ steps: [{ repeat: { text: abcd, count: 100 } }] }]");
    let ran = machine.run(&[], &[user(uuid(1), "go")]);
    assert!(ran.writes.len() <= 4, "{} writes", ran.writes.len());
    let first =
        ran.writes.iter().find(|write| String::from_utf8_lossy(write).contains("text_delta")).unwrap();
    assert_eq!(String::from_utf8_lossy(first).matches("text_delta").count(), 1);
}

#[test]
fn a_turn_per_line_takes_one_write_a_line() {
    let machine =
        Machine::new("write: per_line\nturns: [{ steps: [{ repeat: { text: abcd, count: 100 } }] }]");
    let ran = machine.run(&[], &[user(uuid(1), "go")]);
    let turn: Vec<&Vec<u8>> =
        ran.writes.iter().filter(|write| String::from_utf8_lossy(write).contains("text_delta")).collect();
    // The first write also holds the lines before the turn's own steps.
    assert_eq!(turn.len(), 100);
    assert!(turn[1..].iter().all(|write| write.iter().filter(|byte| **byte == b'\n').count() == 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back_as_it_was(text in any::<String>()) {
        let machine = Machine::new("turns: [{ steps: [echo] }]");
        let ran = machine.run(&["--no-session-persistence"], &[user(uuid(1), &text)]);
        let (end, streamed) = ran.end(uuid(1));
        prop_assert_eq!(&streamed, &text);
        prop_assert_eq!(end.outcome, Outcome::Answer { text });
    }
}

#[test]
fn the_servers_reader_sees_the_promised_updates() {
    let ran = Machine::new("").run(&["--model", "m"], &[user(uuid(1), "hello")]);
    let updates = ran.updates(uuid(1));
    assert!(matches!(&updates[0], TurnUpdate::Init { model, cli_version, .. }
        if model == "m" && cli_version == "2.1.330-simulated"));
    assert_eq!(updates[1], TurnUpdate::OutputBegan);
    assert!(matches!(&updates[2], TurnUpdate::Usage { step: MessageStep::Begun, .. }));
    assert!(matches!(&updates[3], TurnUpdate::Text(text) if text.starts_with("[simulated] ")));
    assert!(matches!(&updates[4], TurnUpdate::Usage { step: MessageStep::Ended { goes_on: false }, .. }));
    assert!(matches!(updates.last(), Some(TurnUpdate::End(_))));
    assert_eq!(updates.len(), 6);
}
