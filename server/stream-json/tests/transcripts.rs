//! Session files of the CLI 2.1.330 (request bodies cut out, ids replaced), and the fates they tell.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use claude_comms_stream_json::transcript::{self, Answered, Fate};
use uuid::Uuid;

fn session(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/transcripts");
    fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap()
}

fn user(n: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + n)
}

fn fate(name: &str, n: u128) -> Fate {
    transcript::fate(session(name).lines(), user(n))
}

fn answer(name: &str, n: u128) -> Answered {
    match fate(name, n) {
        Fate::Answered(answered) => answered,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_finished_turn_gives_its_answer_and_the_point_to_fork_at() {
    let answered = answer("plain_turn", 1);
    assert_eq!(answered.text, "tok0 tok1 tok2 ");
    assert_eq!(answered.stop_reason, "end_turn");
    assert_eq!(answered.model, "claude-sonnet-4-5");
    assert_eq!((answered.usage.input_tokens, answered.usage.output_tokens), (10, 3));
    let line = session("plain_turn");
    let line = line.lines().find(|line| line.contains(r#""type":"assistant""#)).unwrap();
    assert!(line.contains(&format!(r#""uuid":"{}""#, answered.assistant_uuid)));
}

#[test]
fn a_message_that_was_never_sent_is_absent() {
    assert_eq!(fate("plain_turn", 77), Fate::Absent);
    assert_eq!(transcript::fate([], user(1)), Fate::Absent);
}

#[test]
fn the_answer_of_a_tool_round_is_what_was_said_after_it() {
    let answered = answer("tool_round", 1);
    assert_eq!(answered.text, "It is RES.");
    assert_eq!((answered.usage.input_tokens, answered.usage.output_tokens), (20, 6));
}

#[test]
fn an_answer_of_several_blocks_or_cut_at_the_token_limit_is_whole() {
    assert_eq!(answer("two_text_blocks", 1).text, "one two three four");
    assert_eq!(answer("thinking", 1).text, "The answer.");
    assert_eq!(answer("max_tokens", 1).text, "one two three");
}

#[test]
fn a_turn_that_was_killed_is_pending() {
    assert_eq!(answer("killed", 1).text, "first ");
    assert_eq!(fate("killed", 2), Fate::Pending);
    assert_eq!(fate("killed_after_tool", 1), Fate::Pending);
}

#[test]
fn every_cut_of_a_session_file_is_pending_before_its_answer() {
    let whole = session("tool_round");
    let answered = fate("tool_round", 1);
    let mut seen = Vec::new();
    for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let fate = transcript::fate(whole[..end].lines(), user(1));
        if seen.last() != Some(&fate) {
            seen.push(fate);
        }
    }
    assert_eq!(seen, [Fate::Absent, Fate::Pending, answered]);
}

#[test]
fn the_filler_of_a_resume_is_no_failure_and_the_second_try_counts() {
    assert_eq!(answer("killed_resumed", 2).text, "tok0 tok1 ");
    let whole = session("killed_resumed");
    let filler = whole.lines().position(|line| line.contains("No response requested.")).unwrap();
    let so_far = whole.lines().take(filler + 1);
    assert_eq!(transcript::fate(so_far, user(2)), Fate::Pending);
    assert_eq!(answer("killed_resumed", 3).text, "tok0 tok1 ");
}

#[test]
fn turns_of_a_resumed_or_forked_session_keep_their_own_answers() {
    let texts: Vec<String> = (1..=3).map(|n| answer("resumed", n).text).collect();
    assert_eq!(texts, ["a ", "b ", "c "]);
    assert_eq!(answer("fork_after_kill", 1).text, "tok0 tok1 ");
}

#[test]
fn a_failure_is_told_with_its_status() {
    let Fate::Failed { message, http_status } = fate("error_529", 1) else { panic!() };
    assert_eq!(http_status, Some(529));
    assert!(message.starts_with("API Error: 529 Overloaded"));
    let Fate::Failed { message, http_status: None } = fate("refusal_twice", 1) else { panic!() };
    assert!(message.contains("can't help with this"));
}

#[test]
fn an_interrupted_turn_is_told_and_the_next_one_is_not_its_answer() {
    assert_eq!(fate("interrupt", 1), Fate::Interrupted);
    assert_eq!(answer("interrupt", 2).text, "after ");
}

#[test]
fn a_compaction_in_the_middle_of_a_turn_does_not_lose_its_answer() {
    assert_eq!(answer("autocompact", 4).text, "after compaction");
    assert_eq!(answer("autocompact", 3).text, "tok0 tok1 ");
    assert_eq!(answer("compact", 2).text, "tok0 tok1 ");
    assert_eq!(answer("compact", 4).text, "tok0 tok1 ");
}
