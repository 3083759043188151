//! The real CLI against the stand-in for the Messages API, which lives on a thread of its own: the CLI waits for it as it
//! would for the real one, and the client does not.

use std::{env, thread, time::Duration};

use claude_comms_tests::{MessagesApi, Reply, TestServer};
use tokio::sync::oneshot;

use crate::latency::{self, Latency, Plan};

/// Deltas of an answer.
pub(crate) const ANSWER_DELTAS: usize = 8;
/// Long enough for what the CLI does after its `result`.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the real CLI cannot be measured, if so.
pub(crate) fn missing() -> Option<&'static str> {
    let found = env::var_os("CLAUDE_COMMS_TEST_CLAUDE").is_some();
    (!found).then_some(
        "CLAUDE_COMMS_TEST_CLAUDE is not set; tests/run installs the CLI, tests/bench/run finds it",
    )
}

/// Turns of the real CLI: so many rounds on each of so many sets of processes.
pub(crate) async fn measure(sets: usize, rounds: usize) -> Latency {
    let mut all = Latency::default();
    for _ in 0..sets {
        let (api, stop, thread) = stand_in().await;
        api.otherwise(Reply::tokens(ANSWER_DELTAS));
        let server = TestServer::claude(&api).tcp().start().await;
        let plan =
            Plan { rounds, warm_up: 5, prompt: "ping", system_prompt: Some("You are Bob."), pause: PAUSE };
        all.add(latency::measure(&server, plan).await);
        drop((server, api));
        drop(stop);
        thread.join().expect("the stand-in ends");
    }
    all
}

pub(crate) async fn stand_in() -> (MessagesApi, oneshot::Sender<()>, thread::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, api) = oneshot::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let api = MessagesApi::start().await;
            started.send(api).expect("the benchmark waits for it");
            // Ends when the other side is dropped.
            let _ = stopped.await;
        });
    });
    (api.await.expect("the stand-in starts"), stop, thread)
}
