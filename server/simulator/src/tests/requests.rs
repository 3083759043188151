//! Control requests, resends and bad input.

use serde_json::json;

use super::harness::{Machine, request, user, uuid};
use crate::session::Ending;

#[test]
fn initialize_names_the_process_and_the_version() {
    let ran = Machine::new("").run(&[], &[request("1", json!({ "subtype": "initialize", "hooks": null }))]);
    let response = &ran.lines()[0]["response"];
    assert_eq!(response["subtype"], "success");
    assert_eq!(response["request_id"], "1");
    assert_eq!(response["response"]["pid"], 4711);
    assert_eq!(response["response"]["claude_code_version"], "2.1.330-simulated");
    assert_eq!(response["response"]["session_state"], "idle");
}

#[test]
fn a_second_initialize_does_not_change_the_prompt() {
    let initialize =
        |prompt: &str| request("1", json!({ "subtype": "initialize", "systemPrompt": [prompt] }));
    let ran = Machine::new("").run(&[], &[initialize("Bob"), initialize("Eve"), user(uuid(1), "who")]);
    let text = ran.end(uuid(1)).1;
    assert!(text.contains("Bob") && !text.contains("Eve"), "{text}");
}

#[test]
fn initialize_may_be_deaf_slow_or_refused() {
    let initialize = request("1", json!({ "subtype": "initialize" }));
    let story = |start: &str| {
        Machine::new(&format!("start: [{{ initialize: {start} }}]"))
            .run(&[], std::slice::from_ref(&initialize))
            .story()
    };
    assert!(story("deaf").is_empty());
    assert_eq!(story("{ after_ms: 1 }"), ["response success"]);
    assert_eq!(story("{ refuse: no }"), ["response error"]);
}

#[test]
fn the_status_is_told_as_the_cli_tells_it_unless_it_is_deaf() {
    let status = request("status-1", json!({ "subtype": "get_status" }));
    let ran = Machine::new("").run(&[], std::slice::from_ref(&status));
    let response = &ran.lines()[0]["response"];
    assert_eq!((&response["subtype"], &response["request_id"]), (&json!("success"), &json!("status-1")));
    assert_eq!(
        response["response"]["sections"][0]["rows"][0],
        json!({ "label": "Version", "value": "2.1.330-simulated" })
    );
    let deaf = Machine::new("start: [{ status: deaf }]").run(&[], std::slice::from_ref(&status));
    assert!(deaf.story().is_empty(), "{:?}", deaf.story());
    let slow = Machine::new("start: [{ status: { after_ms: 1 } }]").run(&[], std::slice::from_ref(&status));
    assert_eq!(slow.story(), ["response success"]);
    let from_a_turn_on = Machine::new("turns: [{ steps: [{ status: deaf }, { text: yes }] }]")
        .run(&[], &[status.clone(), user(uuid(1), "go"), status]);
    let answers = from_a_turn_on.story().iter().filter(|line| line.starts_with("response")).count();
    assert_eq!(answers, 1, "{:?}", from_a_turn_on.story());
}

#[test]
fn an_unknown_request_is_refused_and_the_process_lives() {
    let ran = Machine::new("").run(&[], &[request("9", json!({ "subtype": "fly" })), user(uuid(1), "x")]);
    let response = &ran.lines()[0]["response"];
    assert_eq!(response["subtype"], "error");
    assert_eq!(response["error_code"], "unsupported_request");
    assert_eq!(ran.results().len(), 1);
}

#[test]
fn end_session_is_answered_and_exits_with_0() {
    let ran = Machine::new("")
        .run(&[], &[request("9", json!({ "subtype": "end_session", "reason": "x" })), user(uuid(1), "late")]);
    assert_eq!(ran.story(), ["response success"]);
    assert_eq!(ran.ending, Ending::Exit(0));
}

#[test]
fn the_same_uuid_again_gives_nothing_even_after_resume() {
    let machine = Machine::new("");
    let id = uuid(99).to_string();
    let ran = machine.run(&["--session-id", &id], &[user(uuid(1), "x"), user(uuid(1), "x")]);
    assert_eq!(ran.results().len(), 1);
    let resumed = machine.run(&["--resume", &id], &[user(uuid(1), "x")]);
    assert!(resumed.story().is_empty());
}

#[test]
fn a_line_that_is_no_json_kills_the_process_also_mid_turn() {
    let machine = Machine::new("turns: [{ steps: [hang] }]");
    for before in [vec![], vec![user(uuid(1), "x")]] {
        let mut stdin = before;
        stdin.push("{\"type\":\"user\" !".to_owned());
        let ran = machine.run(&[], &stdin);
        assert_eq!(ran.ending, Ending::Exit(1));
        assert_eq!(ran.stderr, "Error parsing streaming input line (type=user, 16 chars): SyntaxError\n");
        assert!(ran.results().is_empty());
    }
}

#[test]
fn blank_lines_and_unknown_types_are_ignored() {
    let ran =
        Machine::new("").run(&[], &[String::new(), "  ".to_owned(), json!({ "type": "new" }).to_string()]);
    assert!(ran.story().is_empty());
    assert_eq!(ran.ending, Ending::Exit(0));
}

#[test]
fn context_without_a_question_gets_an_empty_result() {
    let context = json!({
        "type": "user", "message": { "role": "user", "content": "by the way" }, "uuid": uuid(1), "shouldQuery": false,
    });
    let ran = Machine::new("").run(&[], &[context.to_string()]);
    let result = &ran.results()[0];
    assert_eq!((&result["num_turns"], &result["result"]), (&json!(0), &json!("")));
}
