//! The real Claude CLI started by hand, with the launch line the server uses too: it proves the stand-in, and it is the
//! raw driver that benchmarks compare with. It knows no server.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};
use uuid::Uuid;

use crate::{MessagesApi, tools, wait::within, world::World};

/// A running CLI. Dies with this handle.
#[derive(Debug)]
pub struct ClaudeByHand {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    world: World,
}

/// All lines of one turn, the `result` last.
#[derive(Debug)]
pub struct RawTurn {
    /// Every line, parsed.
    pub lines: Vec<Value>,
}

impl RawTurn {
    /// The `result` line.
    ///
    /// # Panics
    /// Never: a turn ends with it.
    #[must_use]
    pub fn result(&self) -> &Value {
        self.lines.last().expect("a turn has a result")
    }

    /// The text deltas, in order, provisional ones too.
    #[must_use]
    pub fn deltas(&self) -> Vec<&str> {
        let text = |line: &'_ Value| line["event"]["delta"]["type"] == "text_delta";
        let deltas = self.lines.iter().filter(|line| text(line));
        deltas.filter_map(|line| line["event"]["delta"]["text"].as_str()).collect()
    }

    /// How many lines have this `type` and `subtype`.
    #[must_use]
    pub fn count(&self, kind: &str, subtype: &str) -> usize {
        self.lines.iter().filter(|line| line["type"] == kind && line["subtype"] == subtype).count()
    }
}

impl ClaudeByHand {
    /// Starts the CLI in a world of its own against `api`, with the locked-down launch line for an API key.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(api: &MessagesApi) -> Self {
        let world = World::new();
        let mut command = world.command(&tools::claude());
        command
            .args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"])
            .args(["--include-partial-messages", "--bare", "--tools", "", "--strict-mcp-config"])
            .args(["--setting-sources=", "--disable-slash-commands"])
            .args(["--permission-mode", "dontAsk", "--permission-prompts", "none"])
            .args(["--session-id", &Uuid::new_v4().to_string()])
            .env("CLAUDE_CONFIG_DIR", world.home().join(".claude"))
            .env("ANTHROPIC_API_KEY", "sk-ant-made-up")
            .env("ANTHROPIC_BASE_URL", api.base_url())
            .env("CLAUDE_CODE_MAX_RETRIES", "1")
            .env("DISABLE_TELEMETRY", "1")
            .env("DISABLE_ERROR_REPORTING", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the CLI starts");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut claude = Self { child, stdin, stdout, world };
        claude
            .control(json!({"subtype": "initialize", "hooks": null, "systemPrompt": ["Stand-in test."]}))
            .await;
        claude
    }

    /// Its process ID.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the CLI runs")
    }

    /// The world it lives in.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Writes one line.
    ///
    /// # Panics
    /// When the CLI does not take it.
    pub async fn write(&mut self, line: &Value) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("the CLI reads");
        self.stdin.flush().await.expect("the CLI reads");
    }

    /// The next line.
    ///
    /// # Panics
    /// When the CLI ends or writes something else than JSON.
    pub async fn next_line(&mut self) -> Value {
        let line = within("a line of the CLI", self.stdout.next_line()).await.expect("UTF-8");
        serde_json::from_str(&line.expect("the CLI lives")).expect("the CLI writes JSON")
    }

    /// Sends a control request and returns its answer, skipping other lines.
    ///
    /// # Panics
    /// When the answer is an error.
    pub async fn control(&mut self, request: Value) -> Value {
        let id = Uuid::new_v4().to_string();
        self.write(&json!({"type": "control_request", "request_id": id, "request": request})).await;
        loop {
            let line = self.next_line().await;
            if line["type"] == "control_response" && line["response"]["request_id"] == id.as_str() {
                assert_eq!(line["response"]["subtype"], "success", "{line}");
                return line["response"]["response"].clone();
            }
        }
    }

    /// Writes a user message.
    pub async fn send(&mut self, text: &str) {
        self.write(&json!({
            "type": "user", "session_id": "", "message": {"role": "user", "content": text},
            "parent_tool_use_id": null, "uuid": Uuid::new_v4(), "client_composed": true,
        }))
        .await;
    }

    /// Reads to the `result` of the running turn.
    pub async fn to_result(&mut self) -> RawTurn {
        let mut lines = Vec::new();
        loop {
            let line = self.next_line().await;
            let ended = line["type"] == "result";
            lines.push(line);
            if ended {
                return RawTurn { lines };
            }
        }
    }

    /// Sends a user message and reads to its `result`.
    pub async fn ask(&mut self, text: &str) -> RawTurn {
        self.send(text).await;
        self.to_result().await
    }
}
