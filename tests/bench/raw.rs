//! The bare stdio driver: the same program with the same flags and environment as a process of the server, its session
//! kept on disk as there; it looks for two marks in the bytes and parses nothing. It is what nobody can be faster than.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use claude_comms_tests::{processes::Process, wait::within, world::World};
use memchr::{memchr, memmem};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout},
};
use uuid::Uuid;

use crate::samples::TurnTimes;

const READ_BYTES: usize = 64 << 10;
/// The marks are shorter than this: so much of one read is looked at again with the next.
const OVERLAP_BYTES: usize = 32;
const LAST_LINES: Duration = Duration::from_secs(10);

/// A CLI on two pipes.
#[derive(Debug)]
pub(crate) struct RawCli {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    bytes: Vec<u8>,
    world: World,
}

/// How a process of the server was started, to start others like it.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// Which session a process carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Session {
    /// A new one with this ID.
    New(Uuid),
    /// One that an earlier process of the same world has left.
    Resume(Uuid),
}

impl RawCli {
    /// Starts what `model` runs, as a session of its own in directories of its own, and initializes it.
    pub(crate) async fn like(model: &Process, system_prompt: Option<&str>) -> Self {
        let mut cli = Self::spawn(&Pattern::of(model), World::new(), Session::New(Uuid::new_v4()));
        cli.initialize(system_prompt).await;
        within("the answer to initialize", cli.line_with(b"\"control_response\"")).await;
        cli
    }

    /// Starts it and writes nothing.
    pub(crate) fn spawn(pattern: &Pattern, world: World, session: Session) -> Self {
        let mut command = world.command(&pattern.program);
        command.args(pattern.arguments(session));
        command.envs(pattern.environment.iter().map(|(name, value)| (name, value)));
        command.env("CLAUDE_CONFIG_DIR", world.home().join(".claude"));
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, stdin, stdout, bytes: Vec::with_capacity(2 * READ_BYTES), world }
    }

    /// Writes `initialize`, and waits for nothing: a message may follow at once.
    pub(crate) async fn initialize(&mut self, system_prompt: Option<&str>) {
        let mut request = json!({"subtype": "initialize", "hooks": null});
        if let Some(prompt) = system_prompt {
            request["systemPrompt"] = json!([prompt]);
        }
        self.write(&json!({"type": "control_request", "request_id": "initialize", "request": request})).await;
    }

    /// Its process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    async fn write(&mut self, line: &serde_json::Value) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    }

    async fn read(&mut self) {
        let read = self.stdout.read_buf(&mut self.bytes).await.expect("a pipe can be read");
        assert!(read > 0, "the CLI ended");
    }

    /// Reads until a complete line holds `mark`; forgets all before the line's end.
    async fn line_with(&mut self, mark: &[u8]) {
        let mark = memmem::Finder::new(mark);
        let mut looked_at = 0;
        let at = loop {
            match mark.find(&self.bytes[looked_at..]) {
                Some(at) => break looked_at + at,
                None => {
                    // A mark may lie across two reads; what is before it never counts again.
                    let keep = self.bytes.len().saturating_sub(OVERLAP_BYTES);
                    self.bytes.drain(..keep);
                    looked_at = 0;
                    self.read().await;
                }
            }
        };
        looked_at = at;
        let end = loop {
            match memchr(b'\n', &self.bytes[looked_at..]) {
                Some(end) => break looked_at + end + 1,
                None => {
                    looked_at = self.bytes.len();
                    self.read().await;
                }
            }
        };
        self.bytes.drain(..end);
    }

    /// One turn.
    pub(crate) async fn ask(&mut self, prompt: &str) -> TurnTimes {
        let begin = Instant::now();
        self.write(&json!({
            "type": "user", "message": {"role": "user", "content": prompt}, "parent_tool_use_id": null,
            "uuid": Uuid::new_v4(), "client_composed": true,
        }))
        .await;
        self.line_with(b"\"text_delta\"").await;
        let first_token = begin.elapsed();
        self.line_with(b"\"type\":\"result\"").await;
        TurnTimes { first_token, whole: begin.elapsed() }
    }

    /// Lets it end; gives back where it was.
    pub(crate) async fn stop(self) -> World {
        let Self { mut child, stdin, stdout, world, .. } = self;
        drop((stdin, stdout));
        if tokio::time::timeout(LAST_LINES, child.wait()).await.is_err() {
            child.kill().await.expect("our own child");
        }
        world
    }
}

/// Strings that end in NUL; empty ones count.
fn strings(path: &str) -> Vec<String> {
    let bytes = fs::read(path).expect("the server's process lives");
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    bytes.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

impl Pattern {
    /// That of a process with a new session.
    pub(crate) fn of(model: &Process) -> Self {
        let proc = format!("/proc/{}", model.pid);
        let program = fs::read_link(format!("{proc}/exe")).expect("the server's process lives");
        let mut arguments = strings(&format!("{proc}/cmdline")).split_off(1);
        let session = arguments.iter().position(|argument| argument == "--session-id");
        let session = session.expect("the server's process has a new session");
        arguments.drain(session..session + 2);
        let ours = ["HOME", "CLAUDE_CONFIG_DIR", "XDG_RUNTIME_DIR", "TMPDIR", "INSTANCE_OWNER"];
        let environment = strings(&format!("{proc}/environ"))
            .iter()
            .filter_map(|variable| variable.split_once('='))
            .filter(|(name, _)| !ours.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { program, arguments, environment }
    }

    fn arguments(&self, session: Session) -> Vec<String> {
        let mut arguments = self.arguments.clone();
        match session {
            Session::New(id) => arguments.extend(["--session-id".to_owned(), id.to_string()]),
            Session::Resume(id) => arguments.push(format!("--resume={id}")),
        }
        arguments
    }
}
