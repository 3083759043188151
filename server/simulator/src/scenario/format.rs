//! The shape of a scenario file. Only data: reading is `load`, choosing is
//! `selection`, playing is the room's `steps`. A step added here is added to
//! the README's table too.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::outbox::WriteMode;

/// One scenario file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// For readers; not used.
    #[serde(default, rename = "description")]
    _description: Option<String>,
    /// How lines become writes, unless a turn says otherwise.
    #[serde(default)]
    pub(crate) write: WriteMode,
    /// How the process behaves apart from its turns; every rule that fits applies.
    #[serde(default)]
    pub(crate) start: Vec<StartRule>,
    /// How turns are chosen from `turns`.
    #[serde(default)]
    pub(crate) order: Order,
    /// The turns; one that none of them fits gets the default answer.
    #[serde(default)]
    pub(crate) turns: Vec<TurnRule>,
}

/// How a turn finds its rule.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The first rule that fits.
    #[default]
    FirstMatch,
    /// The first turn of the process plays the first rule, and so on; a turn its rule does not fit fails loudly.
    InSequence,
}

/// Which process of a session a rule is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    #[default]
    Any,
    /// A process started without `--resume`.
    FirstStart,
    /// A process started with `--resume` (forks too).
    Resumed,
}

/// How often a rule fires.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Once {
    /// Once in each process.
    Process,
    /// Once in each `CLAUDE_CONFIG_DIR`, whatever process: remembered by a file in it.
    Instance,
    /// Once for all: remembered by this file, relative to the scenario's folder.
    Marker(PathBuf),
}

/// Behaviour of a process outside its turns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRule {
    #[serde(default)]
    pub(crate) on: On,
    #[serde(default)]
    pub(crate) once: Option<Once>,
    /// Written to stderr at start.
    #[serde(default)]
    pub(crate) stderr: Option<String>,
    /// Lines written to stdout at start, as they are.
    #[serde(default)]
    pub(crate) stdout: Vec<String>,
    #[serde(default)]
    pub(crate) spawn_grandchild: Option<Grandchild>,
    /// End at once with this exit code.
    #[serde(default)]
    pub(crate) exit: Option<i32>,
    #[serde(default)]
    pub(crate) initialize: Initialize,
    #[serde(default)]
    pub(crate) status: Status,
    /// Stay when stdin is closed.
    #[serde(default)]
    pub(crate) ignore_eof: bool,
    /// Stay when SIGTERM comes.
    #[serde(default)]
    pub(crate) ignore_sigterm: bool,
}

/// How the `initialize` request is answered.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Initialize {
    #[default]
    Answer,
    /// Never.
    Deaf,
    /// After so many milliseconds.
    AfterMs(u64),
    /// With an error of this text.
    Refuse(String),
}

/// How `get_status` requests are answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    #[default]
    Answer,
    /// Never.
    Deaf,
    /// Each after so many milliseconds.
    AfterMs(u64),
}

/// One turn's behaviour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnRule {
    #[serde(default)]
    pub(crate) on: On,
    #[serde(default)]
    pub(crate) when: When,
    #[serde(default)]
    pub(crate) once: Option<Once>,
    #[serde(default)]
    pub(crate) write: Option<WriteMode>,
    pub(crate) steps: Vec<Step>,
    /// Played once the turn has its result, as no CLI should.
    #[serde(default)]
    pub(crate) after: Vec<Step>,
}

/// What must hold for a rule to fit; all that is given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// The prompt holds this.
    #[serde(default)]
    pub(crate) contains: Option<String>,
    /// The prompt is exactly this.
    #[serde(default)]
    pub(crate) equals: Option<String>,
    /// It is this turn of the conversation, over all its processes; 1 is the first.
    #[serde(default)]
    pub(crate) turn: Option<usize>,
}

/// One thing a turn does.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Answer text, as one delta.
    Text(String),
    /// Answer text, as these deltas.
    Deltas(Vec<String>),
    /// Answer text in word-sized deltas.
    Words(String),
    /// The same delta many times.
    Repeat(Repeat),
    /// The prompt, in word-sized deltas.
    Echo,
    /// The answer given without a scenario.
    DefaultAnswer,
    /// All that the process would send to the API: the system prompt and every prompt, a line each.
    Recite,
    /// Thinking, as one block.
    Thinking(String),
    /// Opens the message, if none is open: to crash or hang after `message_start` and before text.
    MessageStart,
    /// The stream is cut: the message stays unfinished and the next text opens a new one.
    CutStream,
    /// Wait so many milliseconds; an interrupt ends it.
    DelayMs(u64),
    /// A tool round.
    ToolCall(ToolCall),
    ApiRetry(ApiRetry),
    /// A line that no reader should understand.
    Garbage(Garbage),
    /// A line as it is.
    Raw(String),
    HugeLine(HugeLine),
    /// Written to stderr.
    Stderr(String),
    /// So many KiB of noise on stderr: more than 64 fill a pipe that nobody drains.
    StderrKibibytes(usize),
    SpawnGrandchild(Grandchild),
    /// Takes so many MiB of memory and keeps them until the process ends.
    AllocateMebibytes(usize),
    /// From here on `get_status` is answered like this.
    Status(Status),
    /// A result of the turn with this text: before its own one, or in `after` one more.
    Result(String),
    /// Nothing more is written to stdout, whose reader sees its end.
    CloseStdout,
    /// Wait for an interrupt or the end of the process.
    Hang,
    /// The process ends here.
    Crash(Crash),
    /// The turn ends with this error.
    Fail(Fail),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repeat {
    pub(crate) text: String,
    pub(crate) count: u64,
    /// Wait after each delta.
    #[serde(default)]
    pub(crate) delay_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub(crate) result: ToolResult,
    /// How long the tool runs.
    #[serde(default)]
    pub(crate) delay_ms: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolResult {
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) is_error: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiRetry {
    /// The HTTP status; absent for a cut or refused connection.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Such as `overloaded`, `rate_limit`, `server_error`, `authentication_failed`; `unknown` if absent.
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// The delay announced; also waited.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    #[serde(default = "ten")]
    pub(crate) max_retries: u32,
    /// How many such lines, one after the other.
    #[serde(default = "one")]
    pub(crate) times: u32,
}

fn ten() -> u32 {
    10
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Garbage {
    NotJson,
    /// Begins like an object and breaks off.
    BrokenJson,
    UnknownType,
    UnknownSubtype,
    UnknownStreamEvent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HugeLine {
    pub(crate) mebibytes: usize,
    #[serde(default, rename = "as")]
    pub(crate) kind: HugeLineKind,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HugeLineKind {
    /// One text delta.
    #[default]
    Delta,
    /// An object of an unknown type.
    UnknownType,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grandchild {
    pub(crate) seconds: u64,
    /// Keeps our stdout open, so that its reader sees no end when we die.
    #[serde(default)]
    pub(crate) holds_stdout: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Crash {
    /// SIGKILL to itself.
    Kill,
    Exit(i32),
}

/// How a turn fails: an HTTP status of the API, or a subtype of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    /// Reported as `api_error_status`; 0 or absent for none.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// The text of the error; the real CLI's for this status if absent.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// `error_during_execution`, `error_max_turns`, `error_max_budget_usd`...: such a result has `errors` and no text.
    #[serde(default)]
    pub(crate) subtype: Option<String>,
}

impl Repeat {
    /// The wait after each delta, if any.
    pub(crate) fn delay(&self) -> Option<Duration> {
        (self.delay_ms > 0).then(|| Duration::from_millis(self.delay_ms))
    }
}
