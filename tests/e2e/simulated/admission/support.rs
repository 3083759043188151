//! Short words for turns of different modules. It checks nothing of its own.

use claude_comms_proto::v1::{QueryModuleRequest, Turn};
use claude_comms_tests::Client;

use crate::simulated::modules::support::{question, try_submit_query};

/// The modules that ask; the first is none.
pub(super) const SOURCES: [&str; 3] = ["", "marker", "arangodb"];
/// The module that answers.
pub(super) const TARGET: &str = "claude_mcp";

/// Each turn takes a while, but for those that hang.
pub(super) fn slow_turns(milliseconds: u64) -> String {
    format!(
        "turns:\n  - {{ when: {{ contains: hang }}, steps: [{{ text: Hanging }}, hang] }}\n  - {{ steps: [{{ delay_ms: {milliseconds} }}, {{ text: Done. }}] }}\n"
    )
}

/// A question of a new conversation.
pub(super) fn of(source: &str, prompt: &str) -> QueryModuleRequest {
    question(source, TARGET, prompt)
}

/// Accepts a question in the background.
pub(super) async fn submit_of(client: &Client, source: &str, prompt: &str) -> Turn {
    try_submit_query(client, of(source, prompt)).await.expect("the question is accepted")
}

/// When a turn began, in nanoseconds.
pub(super) fn start_of(turn: &Turn) -> i128 {
    let time = turn.start_time.as_ref().expect("it has started");
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

/// How long a turn waited, seconds.
pub(super) fn waited(turn: &Turn) -> f64 {
    let time = turn.create_time.as_ref().expect("it was accepted");
    (start_of(turn) - i128::from(time.seconds) * 1_000_000_000 - i128::from(time.nanos)) as f64 / 1e9
}
