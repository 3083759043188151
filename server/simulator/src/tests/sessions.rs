//! The session file: its shape, resume, fork, and what is refused.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use claude_comms_stream_json::transcript::{Fate, fate};
use serde_json::Value;

use super::harness::{Machine, interrupt, user, uuid};
use crate::opening::OpenError;
use crate::session::Ending;

const SESSION: &str = "22222222-2222-4222-8222-222222222222";
const FORK: &str = "33333333-3333-4333-8333-333333333333";

fn with_two_turns() -> Machine {
    let machine = Machine::new("");
    machine.run(&["--session-id", SESSION], &[user(uuid(1), "one")]);
    machine.run(&["--resume", SESSION], &[user(uuid(2), "two")]);
    machine
}

fn entries(machine: &Machine, session: &str) -> Vec<Value> {
    let text = fs::read_to_string(machine.session_file(session)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["uuid"].is_string()).collect()
}

#[test]
fn the_file_is_a_chain_of_user_and_assistant_lines() {
    let machine = with_two_turns();
    let entries = entries(&machine, SESSION);
    let kinds: Vec<&Value> = entries.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["user", "assistant", "user", "assistant"]);
    assert!(entries[0]["parentUuid"].is_null());
    for pair in entries.windows(2) {
        assert_eq!(pair[1]["parentUuid"], pair[0]["uuid"]);
    }
    assert_eq!(entries[0]["uuid"], uuid(1).to_string());
    assert_eq!(entries[1]["message"]["stop_reason"], "end_turn");
}

#[test]
fn the_servers_reader_finds_the_fate_of_every_message() {
    let machine = Machine::new(
        "turns:\n- { when: { equals: hang }, steps: [{ text: half }, hang] }\n\
         - { when: { equals: fail }, steps: [{ fail: { status: 529 } }] }\n\
         - { when: { equals: crash }, steps: [{ text: half }, { crash: kill }] }\n\
         - { steps: [{ tool_call: { name: t } }, { text: good }] }",
    );
    let stdin = [user(uuid(1), "hang"), interrupt()];
    machine.run(&["--session-id", SESSION], &stdin);
    for (n, prompt) in [(2, "fail"), (3, "good"), (4, "crash")] {
        machine.run(&["--resume", SESSION], &[user(uuid(n), prompt)]);
    }
    let text = fs::read_to_string(machine.session_file(SESSION)).unwrap();
    let fate_of = |n| fate(text.lines(), uuid(n));
    assert_eq!(fate_of(1), Fate::Interrupted);
    assert!(matches!(fate_of(2), Fate::Failed { http_status: Some(529), .. }));
    assert!(matches!(fate_of(3), Fate::Answered(answered) if answered.text == "good"));
    assert_eq!(fate_of(4), Fate::Pending);
    assert_eq!(fate_of(5), Fate::Absent);
}

#[test]
fn resume_appends_to_the_very_file() {
    let machine = with_two_turns();
    let file = machine.session_file(SESSION);
    let before = (fs::metadata(&file).unwrap().ino(), fs::read(&file).unwrap());
    machine.run(&["--resume", SESSION], &[user(uuid(3), "three")]);
    let after = (fs::metadata(&file).unwrap().ino(), fs::read(&file).unwrap());
    assert_eq!(before.0, after.0);
    assert!(after.1.len() > before.1.len() && after.1.starts_with(&before.1));
}

#[test]
fn resume_finds_the_session_of_another_folder_and_by_path() {
    let machine = with_two_turns();
    let elsewhere = machine.dir.path().join("projects/-other");
    fs::rename(machine.session_file(SESSION).parent().unwrap(), &elsewhere).unwrap();
    let by_id = machine.run(&["--resume", SESSION], &[user(uuid(3), "three")]);
    assert!(by_id.end(uuid(3)).1.contains("turn 3"));
    let path = elsewhere.join(format!("{SESSION}.jsonl"));
    let by_path = machine.run(&["--resume", path.to_str().unwrap()], &[user(uuid(4), "four")]);
    let (end, text) = by_path.end(uuid(4));
    assert!(text.contains("turn 4"), "{text}");
    assert_eq!(end.session_id, SESSION);
}

#[test]
fn a_fork_holds_the_history_up_to_the_message_and_leaves_the_original_alone() {
    let machine = with_two_turns();
    let original = fs::read(machine.session_file(SESSION)).unwrap();
    let at = entries(&machine, SESSION)[1]["uuid"].as_str().unwrap().to_owned();
    let resume = format!("--resume={SESSION}");
    let flags = [&resume, "--fork-session", "--session-id", FORK, "--resume-session-at", &at];
    let ran = machine.run(&flags, &[user(uuid(3), "other")]);
    let (end, text) = ran.end(uuid(3));
    assert_eq!(end.session_id, FORK);
    assert!(text.contains("turn 2") && text.contains("The one before asked: \"one\""), "{text}");
    assert_eq!(fs::read(machine.session_file(SESSION)).unwrap(), original);
    assert_eq!(entries(&machine, FORK).len(), 4);
    assert!(entries(&machine, FORK).iter().all(|entry| entry["sessionId"] == FORK));
    let again = machine.run(&["--resume", FORK], &[user(uuid(4), "more")]);
    assert!(again.end(uuid(4)).1.contains("turn 3"));
}

#[test]
fn a_cut_last_line_does_not_spoil_the_session() {
    let machine = with_two_turns();
    let mut file = OpenOptions::new().append(true).open(machine.session_file(SESSION)).unwrap();
    file.write_all(b"{\"type\":\"assistant\",\"uu").unwrap();
    machine.run(&["--resume", SESSION], &[user(uuid(3), "three")]);
    let ran = machine.run(&["--resume", SESSION], &[user(uuid(4), "four")]);
    assert!(ran.end(uuid(4)).1.contains("turn 4"));
}

#[test]
fn what_the_real_cli_refuses_is_refused_in_its_words() {
    let machine = with_two_turns();
    let refusal = |flags: &[&str]| machine.try_run(flags, &[]).map(|ran| ran.ending).unwrap_err().to_string();
    assert_eq!(
        refusal(&["--session-id", SESSION]),
        format!("Error: Session ID {SESSION} is already in use.")
    );
    assert_eq!(refusal(&["--session-id", "x"]), "Error: Invalid session ID. Must be a valid UUID.");
    assert_eq!(refusal(&["--resume", FORK]), format!("No conversation found with session ID: {FORK}"));
    let at = ["--resume", SESSION, "--resume-session-at", FORK];
    assert_eq!(refusal(&at), format!("No message found with message.uuid of: {FORK}"));
    let without_fork =
        machine.try_run(&["--resume", SESSION, "--session-id", FORK], &[]).map(|ran| ran.ending);
    assert!(matches!(without_fork, Err(OpenError::IdWithoutFork)));
}

#[test]
fn without_persistence_nothing_is_written() {
    let machine = Machine::new("");
    let ran = machine.run(&["--no-session-persistence", "--session-id", SESSION], &[user(uuid(1), "x")]);
    assert_eq!(ran.ending, Ending::Exit(0));
    assert!(fs::read_dir(machine.dir.path()).unwrap().next().is_none());
}

#[test]
fn long_folder_names_are_cut_and_hashed() {
    use crate::transcript::project_dir;
    use std::path::Path;
    let long = format!("/{}", "a".repeat(250));
    let name = project_dir(Path::new("/c"), Path::new(&long));
    let name = name.file_name().unwrap().to_str().unwrap();
    let (head, hash) = name.split_at(200);
    assert_eq!(head, format!("-{}", "a".repeat(199)));
    assert!(hash.starts_with('-') && hash.len() > 1 && hash.len() <= 7, "{hash}");
}
