//! Clients that are not ours: grpcurl, Python and Node.js, each as its users have it, over TCP and over the Unix socket.

mod grpcurl;
mod node;
mod python;

use claude_comms_tests::{Ran, TestServer};

const PROMPT: &str = "Grüße aus 東京 🗼";

async fn server() -> TestServer {
    TestServer::simulated().tcp().start().await
}

/// What a client printed is an answer of the simulated Claude.
#[track_caller]
fn is_an_answer(ran: &Ran) {
    assert!(ran.stdout.to_lowercase().contains("simulated"), "{ran:#?}");
}
