//! The table of settings: the one place that knows them all. The file, the variables, `config`, the default file, the
//! schema, the documentation and reloading are made from it.
//!
//! To add a setting: its place in [`Config`](super::Config) with its default in `load::defaults`, a row here, and the
//! row in docs/configuration.md that the test then asks for. Keys of one level stand together.

use super::{
    AuthMode, BackendKind, Config,
    kind::Kind::{self, *},
};

/// One setting.
pub(super) struct Key {
    /// Its path in the file, levels divided by a dot; two levels at most.
    pub path: &'static str,
    /// What it means: the same words everywhere.
    pub doc: &'static str,
    /// What kind of value it has, and where it goes.
    pub kind: Kind,
    /// What holds where it is not set.
    pub unset: Unset,
    /// Whether SIGHUP changes it in a running server.
    pub reload: Reload,
}

/// What holds where a key is not set.
pub(super) enum Unset {
    /// The value in `load::defaults`, which can be written out.
    Value,
    /// What cannot be written out, in words, with a value that one could write.
    Words(&'static str, &'static str),
    /// As [`Self::Words`], where more can be said once the settings are read.
    Derived(&'static str, &'static str, fn(&Config) -> String),
}

/// What a new value needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// SIGHUP: whoever uses it asks [`Settings`](super::Settings) each time, or is told.
    Signal,
    /// A restart.
    Restart,
}

use Reload::*;
use Unset::{Derived, Value as Plain, Words};

/// Every setting there is.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "listen",
        doc: "Endpoints: `unix:/path`, `http://127.0.0.1:PORT`, `https://ADDRESS:PORT` (0 picks a port). Beyond loopback only `https` is possible.",
        kind: Endpoints(|c| &mut c.listen),
        unset: Words("the default Unix socket", "['unix:/run/claude-comms/claude-comms.sock']"),
        reload: Restart,
    },
    Key {
        path: "data_dir",
        doc: "Records, transcripts, the instances' directories, the token. One server at a time.",
        kind: Path(|c| &mut c.data_dir),
        unset: Words(
            "`$XDG_DATA_HOME/claude-comms`, else `~/.local/share/claude-comms`",
            "/var/lib/claude-comms",
        ),
        reload: Restart,
    },
    Key {
        path: "backend",
        doc: "`claude` or `simulated`.",
        kind: Choice(
            &["claude", "simulated"],
            |c, word| c.backend = if word == "claude" { BackendKind::Claude } else { BackendKind::Simulated },
            |c| c.backend.as_str(),
        ),
        unset: Plain,
        reload: Restart,
    },
    Key {
        path: "claude.binary",
        doc: "The CLI; a bare name is looked for in PATH.",
        kind: Path(|c| &mut c.claude.binary),
        unset: Plain,
        reload: Restart,
    },
    Key {
        path: "claude.model",
        doc: "Model of conversations that name none.",
        kind: OptionalText(|c| &mut c.claude.model),
        unset: Words("the CLI's", "sonnet"),
        reload: Signal,
    },
    Key {
        path: "claude.config_dir",
        doc: "Your own configuration directory (`~/.claude`), in which you have logged in, for all processes instead of one each. With a warning: concurrent use may damage it or log you out; a token of `claude setup-token` is better.",
        kind: OptionalPath(|c| &mut c.claude.config_dir),
        unset: Words("one for each process", "/var/lib/claude-comms/login"),
        reload: Restart,
    },
    Key {
        path: "claude.environment",
        doc: "Variables for every process, beside the allow-list below.",
        kind: Variables(|c| &mut c.claude.environment),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "claude.extra_args",
        doc: "Arguments for every process, beside our own.",
        kind: Texts(|c| &mut c.claude.extra_args),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "simulated.scenario",
        doc: "What the simulated Claude plays (server/simulator/README.md).",
        kind: OptionalPath(|c| &mut c.scenario),
        unset: Words("a plain answer", "/etc/claude-comms/scenario.yaml"),
        reload: Restart,
    },
    Key {
        path: "pool.max_instances",
        doc: "Most instances; a Claude process takes 100 to 250 MB.",
        kind: OptionalCount(1..=10_000, |c| &mut c.pool.max_instances),
        unset: Derived("what memory allows, 1 to 64 (docs/operations.md)", "16", |c| {
            c.pool.derived.to_string()
        }),
        reload: Signal,
    },
    Key {
        path: "pool.memory_reserve",
        doc: "Memory of the machine, or of the server's control group, that is left free: below it no process is started, idle ones end one by one, and new turns that need a start are refused.",
        kind: OptionalBytes(1 << 20..=1 << 50, |c| &mut c.pool.memory_reserve),
        unset: Words("5 % of it, 256 MiB at least", "1GiB"),
        reload: Signal,
    },
    Key {
        path: "pool.module_max_instances",
        doc: "Most instances that serve one module; turns beyond wait and let others pass.",
        kind: OptionalCount(1..=10_000, |c| &mut c.pool.module_max_instances),
        unset: Words("no limit", "4"),
        reload: Signal,
    },
    Key {
        path: "pool.pair_max_instances",
        doc: "Most instances that serve the questions of one module to one other.",
        kind: OptionalCount(1..=10_000, |c| &mut c.pool.pair_max_instances),
        unset: Words("no limit", "2"),
        reload: Signal,
    },
    Key {
        path: "pool.keep_warm",
        doc: "Modules, or pairs `source>target`, of which the last idle instance is kept beyond `pool.idle_timeout` and evicted after all others.",
        kind: WarmList(|c| &mut c.pool.keep_warm),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.max_queue",
        doc: "Most turns that wait; one more is refused with a hint when to come back.",
        kind: Count(0..=1_000_000, |c| &mut c.pool.max_queue),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.idle_timeout",
        doc: "After this an instance that nobody started by hand ends; the next turn resumes its memory.",
        kind: Span(|c| &mut c.pool.idle_timeout),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.turn_timeout",
        doc: "Longest time of a turn, time in the queue included; a request may ask for less.",
        kind: Span(|c| &mut c.pool.turn_timeout),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.drain_timeout",
        doc: "How long running turns may go on when the server is stopped or drained.",
        kind: Span(|c| &mut c.pool.drain_timeout),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.health_interval",
        doc: "How often each process is asked how it is: a request that Claude Code answers itself, in milliseconds and without cost.",
        kind: Span(|c| &mut c.pool.health_interval),
        unset: Plain,
        reload: Restart,
    },
    Key {
        path: "pool.memory_limit",
        doc: "Memory (PSS, else RSS) of a process with all that it started; beyond it the process is replaced after its turn, or at once when idle. Its conversation goes on.",
        kind: OptionalBytes(1 << 20..=1 << 50, |c| &mut c.pool.memory_limit),
        unset: Words("no limit", "1GiB"),
        reload: Signal,
    },
    Key {
        path: "pool.memory_hard_limit",
        doc: "The same memory, beyond which a process is killed with all that it started; its turn is FAILED `MEMORY_LIMIT`. Looked at every second.",
        kind: OptionalBytes(1 << 20..=1 << 50, |c| &mut c.pool.memory_hard_limit),
        unset: Words("no limit", "2GiB"),
        reload: Signal,
    },
    Key {
        path: "pool.max_turns",
        doc: "Turns after which a process is replaced. Its conversation goes on.",
        kind: OptionalCount(1..=1_000_000_000, |c| &mut c.pool.max_turns),
        unset: Words("no limit", "200"),
        reload: Signal,
    },
    Key {
        path: "pool.max_age",
        doc: "Age at which a process is replaced, after its turn or when idle. Its conversation goes on.",
        kind: OptionalSpan(|c| &mut c.pool.max_age),
        unset: Words("no limit", "12h"),
        reload: Signal,
    },
    Key {
        path: "pool.silence_timeout",
        doc: "How long a process may say nothing while it runs a turn; then it is interrupted, and ended 10 s later.",
        kind: Span(|c| &mut c.pool.silence_timeout),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.warm_spares",
        doc: "Processes that are started before anybody needs them: a new conversation begins on one in a third of the time. They count in max_instances and go first.",
        kind: Count(0..=1_000, |c| &mut c.pool.warm_spares),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.spare_max_age",
        doc: "After this a spare that nobody used is replaced.",
        kind: Span(|c| &mut c.pool.spare_max_age),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.start_stagger",
        doc: "Least time between two starts of processes that nobody waits for, and between the use of a spare and the next one's start.",
        kind: Span(|c| &mut c.pool.start_stagger),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "pool.budget_usd",
        doc: "Most US dollars that turns may cost in a day, which ends at midnight UTC. New turns are refused `BUDGET_EXCEEDED` when there is no room for one more; a running one ends before its next API call (docs/operations.md, Budgets).",
        kind: OptionalDollars(|c| &mut c.pool.budget_usd),
        unset: Words("no limit", "20"),
        reload: Signal,
    },
    Key {
        path: "pool.turn_budget_usd",
        doc: "Most US dollars of one turn; looked at between its API calls, an answer that is complete is kept.",
        kind: OptionalDollars(|c| &mut c.pool.turn_budget_usd),
        unset: Words("no limit", "0.5"),
        reload: Signal,
    },
    Key {
        path: "pool.conversation_budget_usd",
        doc: "Most US dollars of a conversation over its life.",
        kind: OptionalDollars(|c| &mut c.pool.conversation_budget_usd),
        unset: Words("no limit", "5"),
        reload: Signal,
    },
    Key {
        path: "pool.module_budget_usd",
        doc: "Most US dollars that questions to one module may cost in a day.",
        kind: OptionalDollars(|c| &mut c.pool.module_budget_usd),
        unset: Words("no limit", "10"),
        reload: Signal,
    },
    Key {
        path: "module_dirs",
        doc: "Directories with module descriptors, watched and reloaded (docs/descriptors.md).",
        kind: Paths(|c| &mut c.module_dirs),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "template_dirs",
        doc: "Directories with templates, `NAME.j2`, watched and reloaded (docs/context.md).",
        kind: Paths(|c| &mut c.template_dirs),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "context.token_budget",
        doc: "Tokens (estimated) of what the server adds to a prompt: system prompt and message together, 500 to 200000.",
        kind: SmallCount(500..=200_000, |c| &mut c.token_budget),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "retry.max_attempts",
        doc: "How often a turn is given to a process, when processes die, or the API cannot take it, before the answer begins.",
        kind: SmallCount(1..=10, |c| &mut c.retry.max_attempts),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "retry.max_delay",
        doc: "Longest pause before a turn is tried again; pauses double from 0.4 s (process lost) or 4 s (API) and are drawn at random up to that.",
        kind: Span(|c| &mut c.retry.max_delay),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "retry.budget",
        doc: "Most retries of the whole server in a minute, so that a failing backend is not stormed.",
        kind: SmallCount(0..=100_000, |c| &mut c.retry.budget),
        unset: Plain,
        reload: Signal,
    },
    Key {
        path: "limits.prompt_bytes",
        doc: "Longest prompt.",
        kind: Count(1..=64 << 20, |c| &mut c.prompt_limit_bytes),
        unset: Plain,
        reload: Restart,
    },
    Key {
        path: "auth.mode",
        doc: "`none` lets everybody on this machine in over TCP, with a warning.",
        kind: Choice(
            &["token", "none"],
            |c, word| c.auth = if word == "none" { AuthMode::None } else { AuthMode::Token },
            |c| c.auth.as_str(),
        ),
        unset: Plain,
        reload: Restart,
    },
    Key {
        path: "telemetry.metrics_listen",
        doc: "Where Prometheus scrapes `GET /metrics`: `http://127.0.0.1:PORT` or `unix:/path`. Without a token, so on this machine only (docs/metrics.md).",
        kind: Endpoints(|c| &mut c.telemetry.metrics_listen),
        unset: Words("nowhere", "['http://127.0.0.1:9464']"),
        reload: Restart,
    },
    Key {
        path: "telemetry.otlp_endpoint",
        doc: "Where traces go: an OpenTelemetry collector that speaks OTLP over gRPC. Needs a build with the feature `otlp` (docs/metrics.md).",
        kind: OptionalText(|c| &mut c.telemetry.otlp_endpoint),
        unset: Words("nowhere", "http://127.0.0.1:4317"),
        reload: Restart,
    },
    Key {
        path: "tls.cert",
        doc: "The server's certificate and those between it and its authority, PEM; needed for `https`. A changed file is served to new connections within a second, one that cannot be used changes nothing and is warned of.",
        kind: OptionalPath(|c| &mut c.tls.cert),
        unset: Words("none", "/etc/claude-comms/server.pem"),
        reload: Restart,
    },
    Key {
        path: "tls.key",
        doc: "The certificate's private key, PEM, not readable by every user; needed for `https`. Followed like `tls.cert`.",
        kind: OptionalPath(|c| &mut c.tls.key),
        unset: Words("none", "/etc/claude-comms/server.key"),
        reload: Restart,
    },
    Key {
        path: "tls.client_ca",
        doc: "Authorities of client certificates, PEM: with it `https` endpoints serve only callers that show one of theirs, and the token still decides what they may do. Followed like `tls.cert`.",
        kind: OptionalPath(|c| &mut c.tls.client_ca),
        unset: Words("none", "/etc/claude-comms/clients.pem"),
        reload: Restart,
    },
];

/// The key of a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether keys lie below a path.
pub(super) fn is_level(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}
