//! Named tokens: who is let in, how far, until when; and that nothing keeps or tells a secret.

mod command_line;
mod endings;
mod every_rpc;
mod records;

use claude_comms_proto::v1::{CreateTokenRequest, GetServerInfoRequest, RevokeTokenRequest, TokenScope};
use claude_comms_tests::{Client, TestServer, client::reason};
use tonic::{Code, Status};

/// Makes a token over the Unix socket and returns its secret.
pub(super) async fn create(server: &TestServer, name: &str, scope: TokenScope) -> String {
    create_for(server, name, scope, None).await
}

/// As [`create`], for so many milliseconds.
async fn create_for(server: &TestServer, name: &str, scope: TokenScope, millis: Option<i32>) -> String {
    let lifetime = millis.map(|millis| prost_types::Duration {
        seconds: (millis / 1000).into(),
        nanos: millis % 1000 * 1_000_000,
    });
    let request = CreateTokenRequest { name: name.into(), scope: scope.into(), lifetime };
    server.client().await.tokens.create_token(request).await.unwrap().into_inner().secret
}

async fn revoke(server: &TestServer, name: &str) {
    let request = RevokeTokenRequest { name: name.into() };
    server.client().await.tokens.revoke_token(request).await.unwrap();
}

/// A client over TCP that shows this secret.
async fn with(server: &TestServer, secret: &str) -> Client {
    Client::connect(server.tcp(), Some(secret)).await
}

/// What a harmless call is answered.
async fn look(client: &Client) -> Result<(), Status> {
    client.diagnostics.clone().get_server_info(GetServerInfoRequest {}).await.map(|_| ())
}

/// Code and reason of a refusal.
#[track_caller]
fn why<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("it must be refused");
    (status.code(), reason(&status))
}
