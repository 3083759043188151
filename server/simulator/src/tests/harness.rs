//! Runs a session in this process: stdin is a list, stdout a list of writes.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;

use claude_comms_stream_json::output;
use claude_comms_stream_json::turn::{TurnEnd, TurnReader, TurnUpdate};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::flags::Flags;
use crate::inbox::{Event, Inbox};
use crate::opening::{self, OpenError, Surroundings};
use crate::outbox::Outbox;
use crate::scenario::{self, Scenario, Selection};
use crate::session::{Behaviour, Ending, Session};

/// A machine to run processes on: keeps its session files from one to the next.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    scenario: Scenario,
}

/// What a process has done.
pub(crate) struct Ran {
    pub(crate) ending: Ending,
    pub(crate) writes: Vec<Vec<u8>>,
    pub(crate) stderr: String,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<Vec<u8>>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Machine {
    /// Plays `scenario`, YAML; empty for none.
    pub(crate) fn new(scenario: &str) -> Self {
        let scenario =
            if scenario.is_empty() { Scenario::default() } else { scenario::parse(scenario).unwrap() };
        Self { dir: TempDir::new().unwrap(), scenario }
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            cwd: PathBuf::from("/work_1/a.b"),
            config_dir: self.dir.path().to_owned(),
            process_id: 4711,
            emit_session_state: false,
        }
    }

    /// The session file of `id`.
    pub(crate) fn session_file(&self, id: &str) -> PathBuf {
        self.dir.path().join("projects/-work-1-a-b").join(format!("{id}.jsonl"))
    }

    /// Runs a process with the usual flags and `more`, these lines on stdin and then its end.
    pub(crate) fn try_run(&self, more: &[&str], stdin: &[String]) -> Result<Ran, OpenError> {
        let usual =
            "-p --input-format stream-json --output-format stream-json --verbose --include-partial-messages";
        let words = usual.split(' ').chain(more.iter().copied()).filter(|word| *word != "--whole");
        let mut flags = Flags::parse(words.map(OsString::from)).unwrap();
        flags.include_partial_messages = !more.contains(&"--whole");
        let surroundings = self.surroundings();
        let opened = opening::open(&flags, &surroundings)?;
        let mut selection = Selection::new(&self.scenario, None, self.dir.path(), flags.resume.is_some());
        let mut behaviour = Behaviour { write: self.scenario.write, ..Behaviour::default() };
        for rule in selection.start_rules().unwrap() {
            behaviour.initialize = rule.initialize.clone();
            behaviour.status = rule.status;
        }
        let (events, inbox) = Inbox::new();
        let lines = stdin.to_vec();
        let feeder = thread::spawn(move || {
            // A process that ends early takes no more.
            let _ = lines.into_iter().try_for_each(|line| events.send(Event::Line(line)));
            let _ = events.send(Event::Eof);
        });
        let (stdout, stderr) = (Sink::default(), Sink::default());
        let system_prompt = flags.system_prompt.clone();
        let mut session = Session::new(
            flags,
            surroundings,
            system_prompt,
            opened,
            behaviour,
            selection,
            inbox,
            Outbox::new(stdout.clone()),
            Box::new(stderr.clone()),
        );
        let ending = session.run();
        drop(session);
        feeder.join().unwrap();
        let stderr = String::from_utf8(stderr.0.borrow().concat()).unwrap();
        Ok(Ran { ending, writes: stdout.0.take(), stderr })
    }

    pub(crate) fn run(&self, more: &[&str], stdin: &[String]) -> Ran {
        self.try_run(more, stdin).unwrap()
    }
}

impl Ran {
    /// Stdout's lines that are JSON objects.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let bytes = self.writes.concat();
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the output ends within a line");
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// The lines in short, such as `delta a`, one after the other.
    pub(crate) fn story(&self) -> Vec<String> {
        self.lines().iter().map(short).collect()
    }

    /// The results, oldest first.
    pub(crate) fn results(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["type"] == "result").collect()
    }

    /// What the server's reader makes of the turn of this uuid.
    pub(crate) fn updates(&self, uuid: Uuid) -> Vec<TurnUpdate> {
        let mut reader = TurnReader::new();
        reader.begin(uuid);
        let mut updates = Vec::new();
        let bytes = self.writes.concat();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&b'{')) {
            // Garbage that a scenario prints may not parse; the reader of a pipe passes it over too.
            if let Ok(output) = output::parse_bytes(line) {
                reader.read(&output, &mut updates);
            }
        }
        updates
    }

    /// The end of the turn of this uuid, and the text since the last reset.
    pub(crate) fn end(&self, uuid: Uuid) -> (TurnEnd, String) {
        let mut text = String::new();
        let mut end = None;
        for update in self.updates(uuid) {
            match update {
                TurnUpdate::Text(more) => text.push_str(&more),
                TurnUpdate::Reset { .. } => text.clear(),
                TurnUpdate::End(turn_end) => end = Some(*turn_end),
                _ => {}
            }
        }
        (end.expect("the turn ended"), text)
    }
}

fn short(line: &Value) -> String {
    let kind = line["type"].as_str().unwrap_or("?");
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    match kind {
        "system" => match line["subtype"].as_str() {
            Some("status") => format!("status {}", text(&line["status"])),
            Some("api_retry") => format!("api_retry {} {}", line["attempt"], line["error_status"]),
            _ => text(&line["subtype"]),
        },
        "command_lifecycle" => text(&line["state"]),
        "stream_event" => {
            let event = &line["event"];
            let delta = &event["delta"];
            match delta["type"].as_str() {
                Some("text_delta") => format!("delta {}", text(&delta["text"])),
                Some(other) => other.to_owned(),
                None => text(&event["type"]),
            }
        }
        "assistant" => {
            let block = &line["message"]["content"][0];
            format!("assistant {} {}", text(&block["type"]), block["text"].as_str().unwrap_or_default())
        }
        "user" => {
            let block = &line["message"]["content"][0];
            format!("user {} {}", text(&block["type"]), block["text"].as_str().unwrap_or_default())
        }
        "result" => format!("result {} {}", text(&line["subtype"]), text(&line["terminal_reason"])),
        "control_response" => format!("response {}", text(&line["response"]["subtype"])),
        other => other.to_owned(),
    }
}

/// A user message of this uuid.
pub(crate) fn user(uuid: Uuid, text: &str) -> String {
    let message = json!({ "role": "user", "content": text });
    json!({
        "type": "user", "session_id": "", "message": message, "parent_tool_use_id": null, "uuid": uuid,
        "client_composed": true,
    })
    .to_string()
}

/// A control request.
pub(crate) fn request(id: &str, request: Value) -> String {
    json!({ "type": "control_request", "request_id": id, "request": request }).to_string()
}

/// An `interrupt`.
pub(crate) fn interrupt() -> String {
    request("stop", json!({ "subtype": "interrupt" }))
}

/// The `n`th uuid of a test.
pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x1111_1111_1111_4111_8111_0000_0000_0000 + n)
}
