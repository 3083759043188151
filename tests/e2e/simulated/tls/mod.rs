//! TLS: whose certificates are taken, what is told to those who come otherwise, and how certificates change.

mod certificates;
mod protocols;
mod reload;
mod settings;

use std::{fs, path::PathBuf};

use claude_comms_tests::{
    Client, PATIENCE, Ran, TestServer, eventually,
    server::Builder,
    tls::{self, Authority, Pair},
};

/// A server on TLS with this certificate beside its Unix socket; with `clients`, their certificates must be of that
/// authority.
fn serving(pair: &Pair, clients: Option<&Authority>) -> Builder {
    let builder = TestServer::simulated();
    let root = builder.world().root().to_owned();
    let (cert, key) = pair.write(&root, "server");
    let mut yaml = format!("tls:\n  cert: {}\n  key: {}\n", cert.display(), key.display());
    if let Some(clients) = clients {
        let file = root.join("client_ca.pem");
        fs::write(&file, &clients.pem).unwrap();
        yaml = format!("{yaml}  client_ca: {}\n", file.display());
    }
    builder.configuration(yaml).listen("https://127.0.0.1:0")
}

fn endpoint(server: &TestServer) -> String {
    server.endpoints().iter().find(|endpoint| endpoint.starts_with("https://")).expect("TLS").clone()
}

/// A client with the built-in token.
async fn client(server: &TestServer, authority: &Authority, own: Option<&Pair>) -> Client {
    let channel = tls::connect(&endpoint(server), &authority.pem, own).await.expect("a connection");
    Client::over(channel, Some(&server.token()))
}

/// Writes an authority's certificate where the command line can read it.
fn ca_file(server: &TestServer, authority: &Authority) -> PathBuf {
    let file = server.world().root().join("ca.pem");
    fs::write(&file, &authority.pem).unwrap();
    file
}

/// `status` over TLS, with these further arguments.
async fn status(server: &TestServer, arguments: &[&str]) -> Ran {
    let mut command = server.cli_command(&["status"]);
    command.env("CLAUDE_COMMS_SERVER", endpoint(server)).args(arguments);
    Ran::to_end(command).await
}

/// Waits until the server has logged these words: it may answer before it logs.
async fn logged(server: &TestServer, words: &str) {
    eventually(PATIENCE, words, async || server.log().contains(words).then_some(())).await;
}
