//! Node.js with @grpc/grpc-js, `proto/` loaded at run time.

use claude_comms_tests::{Ran, TestServer, tools};

use super::{PROMPT, are_answers, server, server_that_refuses, server_with_data};

async fn converse(server: &TestServer, endpoint: &str, token: Option<&str>) -> Ran {
    let repository = tools::repository();
    let (node, modules) = tools::node();
    let mut command = server.world().command(&node);
    command.arg(repository.join("tests/polyglot/node/converse.js")).arg(repository.join("proto"));
    command.args([endpoint, PROMPT, "And what did I ask before?"]).env("NODE_PATH", modules);
    if let Some(token) = token {
        command.env("CLAUDE_COMMS_TOKEN", token);
    }
    Ran::to_end(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_streams_an_answer_over_tcp_with_the_token() {
    let server = server().await;
    are_answers(&converse(&server, server.tcp(), Some(&server.token())).await.expect(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_streams_an_answer_over_the_unix_socket() {
    let server = server().await;
    are_answers(&converse(&server, server.unix(), None).await.expect(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_without_the_token_is_refused() {
    let server = server().await;
    let refused = converse(&server, server.tcp(), None).await.expect(1);
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_says_why_a_turn_failed() {
    let server = server_that_refuses().await;
    let failed = converse(&server, server.unix(), None).await.expect(1);
    assert!(failed.stderr.contains("API_PERMISSION"), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_asks_a_module_and_gets_data() {
    let server = server_with_data().await;
    let repository = tools::repository();
    let (node, modules) = tools::node();
    let mut command = server.world().command(&node);
    command.arg(repository.join("tests/polyglot/node/ask_module.js")).arg(repository.join("proto"));
    command.args([server.unix(), "marker", "arangodb", "run_aql", PROMPT]).env("NODE_PATH", modules);
    let ran = Ran::to_end(command).await.expect(0);
    assert_eq!(ran.json(), serde_json::json!({"rows": []}));
}
