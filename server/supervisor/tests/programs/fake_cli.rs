//! A made-up CLI that speaks just enough stream-json. `FAKE_CLI` in its environment says how it starts
//! and ends, the text of a prompt what it does in a turn.

use std::{
    env,
    io::{self, BufRead as _, Write as _},
    process, thread,
};

use serde_json::{Value, json};

pub(crate) fn run() {
    let mode = env::var("FAKE_CLI").unwrap_or_default();
    if let Some(code) = mode.strip_prefix("exit ") {
        eprintln!("fake cli: leaving with {code}");
        process::exit(code.parse().expect("a number"));
    }
    if mode.contains("tree") {
        crate::spawn_tree().expect("the tree grows");
    }
    if mode.contains("deaf") {
        crate::ignore_signals();
    }
    let mut input = Input { lines: io::stdin().lock().lines(), failed: false };
    while let Some(message) = input.next() {
        match message["type"].as_str() {
            Some("control_request") => control(&message, &mode),
            Some("user") => turn(&message, &mut input),
            _ => {}
        }
    }
    if mode.contains("deaf") {
        eprintln!("fake cli: deaf to the end of stdin");
        loop {
            thread::park();
        }
    }
    eprintln!("fake cli: end of stdin");
    // As the CLI: 1 if the last result was an error.
    process::exit(i32::from(input.failed));
}

type Lines = io::Lines<io::StdinLock<'static>>;

struct Input {
    lines: Lines,
    failed: bool,
}

impl Input {
    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.expect("stdin is readable");
        Some(serde_json::from_str(&line).expect("stdin is JSON lines"))
    }
}

fn control(message: &Value, mode: &str) {
    let id = &message["request_id"];
    match message["request"]["subtype"].as_str() {
        Some("initialize") if mode.contains("silent") => eprintln!("fake cli: not answering"),
        Some("initialize") if mode.contains("refuse") => {
            say(
                &json!({"type":"control_response","response":{"subtype":"error","request_id":id,"error":"no"}}),
            );
        }
        Some("initialize") => {
            let body = json!({"pid":process::id(),"claude_code_version":"2.1.330","commands":[]});
            say(
                &json!({"type":"control_response","response":{"subtype":"success","request_id":id,"response":body}}),
            );
            if mode.contains("chatty") {
                // Does not read on until all this was read.
                let filler = "x".repeat(1000);
                for _ in 0..4000 {
                    say(&json!({"type":"system","subtype":"ui_invalidate","event":filler}));
                }
            }
        }
        _ => say(&json!({"type":"control_response","response":{"subtype":"success","request_id":id}})),
    }
}

fn turn(message: &Value, input: &mut Input) {
    input.failed = false;
    let prompt = message["message"]["content"].as_str().expect("a text prompt");
    let (word, number) = prompt.split_once(' ').unwrap_or((prompt, ""));
    say(
        &json!({"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"2.1.330"}),
    );
    say(&event(json!({"type":"message_start","message":{"id":"msg_1","role":"assistant","content":[]}})));
    say(&event(json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})));
    match word {
        "exit" => {
            eprintln!("fake cli: leaving in the middle");
            process::exit(number.parse().expect("a number"));
        }
        "not-utf8" => raw(b"{\"type\":\"\xE9\"}\n"),
        "too-long" => raw(format!("{{\"type\":\"{}\"}}\n", "x".repeat(3_000_000)).as_bytes()),
        "hang" => hang(input),
        "environment" => answer(&environment()),
        "arguments" => answer(&env::args().skip(1).collect::<Vec<_>>().join("\n")),
        "ask" => answer(&ask(input)),
        "count" => count(number.parse().expect("a number")),
        _ => answer(&format!("{} bytes", prompt.len())),
    }
}

/// Until interrupted; the end of stdin does not end it.
fn hang(input: &mut Input) {
    delta("partial");
    while let Some(message) = input.next() {
        if message["request"]["subtype"] == "interrupt" {
            control(&message, "");
            input.failed = true;
            say(&json!({"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":1,
                "terminal_reason":"aborted_streaming","session_id":"s","errors":["aborted"]}));
            return;
        }
    }
    loop {
        thread::park();
    }
}

fn ask(input: &mut Input) -> String {
    let requests =
        [json!({"subtype":"can_use_tool","tool_name":"t","input":{}}), json!({"subtype":"from_the_future"})];
    let mut answers = String::new();
    for (number, request) in requests.iter().enumerate() {
        say(&json!({"type":"control_request","request_id":number.to_string(),"request":request}));
        let answer = input.next().expect("an answer");
        answers.push_str(&answer.to_string());
        answers.push('\n');
    }
    answers
}

/// One write per delta, so that the reader wakes often.
fn count(to: usize) {
    let mut text = String::new();
    for number in 0..to {
        let piece = format!("{number} ");
        delta(&piece);
        text.push_str(&piece);
    }
    end(&text);
}

fn answer(text: &str) {
    delta(text);
    end(text);
}

fn end(text: &str) {
    say(&event(json!({"type":"content_block_stop","index":0})));
    say(&event(json!({"type":"message_stop"})));
    say(&json!({"type":"result","subtype":"success","is_error":false,"num_turns":1,"session_id":"s",
        "terminal_reason":"completed","result":text,"usage":{"input_tokens":1,"output_tokens":2}}));
}

fn environment() -> String {
    let mut all: Vec<String> = env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    all.sort();
    all.push(format!("cwd={}", env::current_dir().expect("a working directory").display()));
    all.join("\n")
}

fn delta(text: &str) {
    say(&event(json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":text}})));
}

fn event(event: Value) -> Value {
    json!({"type":"stream_event","event":event,"session_id":"s","parent_tool_use_id":null,"uuid":"u"})
}

fn say(message: &Value) {
    raw(format!("{message}\n").as_bytes());
}

fn raw(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    // A server that is gone: the real CLI ends at once, this one is here to be killed.
    let _nobody_reads = stdout.write_all(bytes).and_then(|()| stdout.flush());
}
