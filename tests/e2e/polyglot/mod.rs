//! Clients that are not ours: grpcurl, Python and Node.js, each as its users have it, over TCP and over the Unix socket.

mod grpcurl;
mod node;
mod python;
mod python_metrics;
mod tls;

use claude_comms_tests::{Ran, TestServer, tools};

const PROMPT: &str = "Grüße aus 東京 🗼";

async fn server() -> TestServer {
    TestServer::simulated().tcp().start().await
}

async fn server_that_refuses() -> TestServer {
    let scenario = tools::repository().join("tests/scenarios/api_403.yaml");
    TestServer::simulated().scenario(&scenario).start().await
}

/// A server whose modules answer with data: no rows.
async fn server_with_data() -> TestServer {
    let server = TestServer::simulated();
    let scenario = server.world().root().join("scenario.yaml");
    let text = "turns:\n  - steps: [{ text: \"None.\\n```json\\n{\\\"rows\\\": []}\\n```\" }]\n";
    std::fs::write(&scenario, text).expect("our own directory");
    server.scenario(&scenario).tcp().start().await
}

/// What a client printed are two answers of the simulated Claude, which remembers the first prompt.
#[track_caller]
fn are_answers(ran: &Ran) {
    assert!(
        ran.stdout.contains("[simulated]") && ran.stdout.contains("turn 2 of our conversation"),
        "{ran:#?}"
    );
}
