//! One test for each step of a scenario: the lines it prints, and what the
//! server's reader makes of them.

use claude_comms_stream_json::turn::{FailureReason, Outcome, ResetReason, TurnUpdate};

use super::harness::{Machine, Ran, user, uuid};
use crate::session::Ending;

/// Plays one turn of these steps.
fn play(steps: &str) -> Ran {
    Machine::new(&format!("turns: [{{ steps: {steps} }}]")).run(&[], &[user(uuid(1), "go on")])
}

/// The story between the first status and the result.
fn inner(ran: &Ran) -> Vec<String> {
    let story = ran.story();
    let from = story.iter().position(|line| line.starts_with("status")).unwrap() + 1;
    let to = story.iter().position(|line| line.starts_with("result")).unwrap_or(story.len());
    story[from..to].to_vec()
}

fn has_reset(ran: &Ran, reason: ResetReason) -> bool {
    ran.updates(uuid(1)).contains(&TurnUpdate::Reset { reason })
}

fn answer(ran: &Ran) -> String {
    let (end, text) = ran.end(uuid(1));
    assert_eq!(end.outcome, Outcome::Answer { text: text.clone() });
    text
}

#[test]
fn words_and_echo_come_in_word_sized_deltas() {
    let deltas =
        |ran: &Ran| inner(ran).into_iter().filter(|line| line.starts_with("delta")).collect::<Vec<_>>();
    assert_eq!(deltas(&play("[{ words: 'a b' }]")), ["delta a ", "delta b"]);
    assert_eq!(deltas(&play("[echo]")), ["delta go ", "delta on"]);
    assert!(answer(&play("[default_answer]")).starts_with("[simulated] "));
}

#[test]
fn repeat_gives_as_many_deltas() {
    assert_eq!(answer(&play("[{ repeat: { text: ab, count: 1000 } }]")), "ab".repeat(1000));
}

#[test]
fn thinking_is_a_block_of_its_own_and_no_answer() {
    let ran = play("[{ thinking: hm }, { text: yes }]");
    let expected = [
        "message_start",
        "content_block_start",
        "thinking_delta",
        "thinking_tokens",
        "signature_delta",
        "assistant thinking ",
        "content_block_stop",
        "content_block_start",
        "delta yes",
        "assistant text yes",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(inner(&ran), expected);
    assert_eq!(answer(&ran), "yes");
}

#[test]
fn a_tool_round_is_two_calls() {
    let ran = play(
        "[{ text: let me see }, { tool_call: { name: look, input: { at: [1, {}] }, result: { text: seen, is_error: true } } }, \
         { text: done }]",
    );
    let expected = [
        "message_start",
        "content_block_start",
        "delta let me see",
        "assistant text let me see",
        "content_block_stop",
        "content_block_start",
        "input_json_delta",
        "assistant tool_use ",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "user tool_result ",
        "status requesting",
        "message_start",
        "content_block_start",
        "delta done",
        "assistant text done",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(inner(&ran), expected);
    assert_eq!(ran.end(uuid(1)).0.num_turns, 2);
    assert_eq!(answer(&ran), "done");
    assert!(has_reset(&ran, ResetReason::ToolUse));
    let updates = ran.updates(uuid(1));
    assert!(updates.iter().any(|update| matches!(update, TurnUpdate::ToolCall { name, input_json, .. }
        if name == "look" && input_json == "{\"at\":[1,{}]}")));
    assert!(
        updates
            .iter()
            .any(|update| matches!(update, TurnUpdate::ToolResult { is_error: true, content_json, .. }
        if content_json.contains("seen")))
    );
}

#[test]
fn a_cut_stream_begins_again() {
    let ran = play("[{ text: wro }, cut_stream, { api_retry: {} }, { text: right }]");
    assert!(has_reset(&ran, ResetReason::Retry));
    assert_eq!(answer(&ran), "right");
}

#[test]
fn api_retries_are_counted() {
    let ran = play(
        "[{ api_retry: { status: 529, error: overloaded, times: 2 } }, { api_retry: {} }, { text: ok }]",
    );
    let retries: Vec<String> = inner(&ran).into_iter().filter(|line| line.starts_with("api_retry")).collect();
    assert_eq!(retries, ["api_retry 1 529", "api_retry 2 529", "api_retry 3 null"]);
    assert_eq!(answer(&ran), "ok");
}

#[test]
fn garbage_does_not_disturb_the_answer() {
    for kind in ["not_json", "broken_json", "unknown_type", "unknown_subtype", "unknown_stream_event"] {
        let ran = play(&format!("[{{ text: a }}, {{ garbage: {kind} }}, {{ text: b }}, {{ raw: '{{}}' }}]"));
        assert_eq!(answer(&ran), "ab", "{kind}");
    }
}

#[test]
fn a_huge_line_is_one_line() {
    assert_eq!(answer(&play("[{ huge_line: { mebibytes: 2 } }]")).len(), 2 * 1024 * 1024);
    let ran = play("[{ huge_line: { mebibytes: 2, as: unknown_type } }, { text: a }]");
    let longest = ran.writes.concat().split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!(longest > 2 * 1024 * 1024);
    assert_eq!(answer(&ran), "a");
}

#[test]
fn failures_are_what_the_server_calls_them() {
    let reason = |fail: &str| match play(&format!("[{{ fail: {{ {fail} }} }}]")).end(uuid(1)).0.outcome {
        Outcome::Failed { reason, http_status, .. } => (reason, http_status),
        other => panic!("{fail}: {other:?}"),
    };
    assert_eq!(reason("status: 401"), (FailureReason::ApiAuthentication, Some(401)));
    assert_eq!(reason("status: 403"), (FailureReason::ApiPermission, Some(403)));
    assert_eq!(reason("status: 404"), (FailureReason::ModelNotFound, Some(404)));
    assert_eq!(reason("status: 429"), (FailureReason::RateLimited, Some(429)));
    assert_eq!(reason("status: 500"), (FailureReason::ApiServerError, Some(500)));
    assert_eq!(reason("status: 529"), (FailureReason::ApiOverloaded, Some(529)));
    assert_eq!(reason("status: 400, message: 'Prompt is too long'").0, FailureReason::PromptTooLong);
    assert_eq!(reason("status: 400"), (FailureReason::ApiInvalidRequest, Some(400)));
    assert_eq!(reason(""), (FailureReason::ApiUnreachable, None));
    assert_eq!(reason("message: 'Not logged in · Please run /login'").0, FailureReason::NotLoggedIn);
    assert_eq!(reason("subtype: error_max_turns").0, FailureReason::MaxTurns);
    assert_eq!(reason("subtype: error_max_budget_usd").0, FailureReason::BudgetExceeded);
    assert_eq!(reason("subtype: error_during_execution").0, FailureReason::ExecutionError);
}

#[test]
fn a_failed_turn_leaves_the_process_usable_and_the_exit_code_1() {
    let machine =
        Machine::new("turns: [{ when: { equals: bad }, steps: [{ text: x }, { fail: { status: 500 } }] }]");
    let ran = machine.run(&[], &[user(uuid(1), "bad")]);
    assert_eq!(ran.ending, Ending::Exit(1));
    assert_eq!(ran.results()[0]["subtype"], "success");
    assert_eq!(ran.results()[0]["is_error"], true);
}

#[test]
fn a_crash_ends_the_process_where_it_stands() {
    let before = play("[{ crash: { exit: 7 } }]");
    assert_eq!(before.ending, Ending::Exit(7));
    assert!(inner(&before).is_empty());
    let opened = play("[message_start, { crash: kill }]");
    assert_eq!(opened.ending, Ending::Kill);
    assert_eq!(inner(&opened), ["message_start"]);
    let midway = play("[{ repeat: { text: a, count: 3 } }, { crash: kill }]");
    assert_eq!(inner(&midway).iter().filter(|line| *line == "delta a").count(), 3);
}

#[test]
fn stderr_text_goes_to_stderr() {
    assert_eq!(play("[{ stderr: oops }]").stderr, "oops");
}

#[test]
fn rules_are_chosen_by_prompt_turn_process_and_count() {
    let machine = Machine::new(
        "turns:\n- { once: process, when: { contains: o }, steps: [{ text: first o }] }\n\
         - { on: resumed, steps: [{ text: resumed }] }\n- { when: { turn: 3 }, steps: [{ text: third }] }\n\
         - { once: instance, steps: [{ text: once }] }",
    );
    let id = uuid(50).to_string();
    let say = |flag: &str, n| machine.run(&[flag, &id], &[user(uuid(n), "hello")]).end(uuid(n)).1;
    assert_eq!(say("--session-id", 1), "first o");
    let other = machine.run(&[], &[user(uuid(9), "x")]);
    assert_eq!(other.end(uuid(9)).1, "once");
    let used_up = machine.run(&[], &[user(uuid(9), "x")]);
    assert!(used_up.end(uuid(9)).1.starts_with("[simulated]"));
    let second = machine.run(&["--resume", &id], &[user(uuid(2), "x")]);
    assert_eq!(second.end(uuid(2)).1, "resumed");
}

#[test]
fn a_sequence_fails_loudly_when_the_turn_is_another() {
    let machine = Machine::new(
        "order: in_sequence\nturns:\n- { when: { equals: one }, steps: [{ text: '1' }] }\n\
         - { when: { equals: two }, steps: [{ text: '2' }] }",
    );
    let good = machine.run(&[], &[user(uuid(1), "one")]);
    assert_eq!(answer(&good), "1");
    let bad = machine.run(&[], &[user(uuid(1), "two")]);
    assert_eq!(bad.results()[0]["errors"][0], "the scenario expects the prompt \"one\"");
}
