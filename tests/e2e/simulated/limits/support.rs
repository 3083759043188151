//! Figures as Prometheus would scrape them, and instances as an operator sees them.

use claude_comms_proto::v1::{GetInstanceRequest, Instance, InstanceState};
use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually, processes::signal, server::Builder, within,
};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// Starts a server with these lines of configuration, whose figures can be scraped.
pub(crate) async fn start(builder: Builder, yaml: &str) -> (TestServer, Client) {
    let socket = builder.world().root().join("metrics.sock");
    let yaml = format!("telemetry: {{ metrics_listen: 'unix:{}' }}\n{yaml}", socket.display());
    let server = builder.configuration(yaml).start().await;
    let client = server.client().await;
    (server, client)
}

/// The value of a figure, by its name and labels as the text format has them.
pub(crate) async fn figure(server: &TestServer, line: &str) -> f64 {
    let mut stream = UnixStream::connect(server.world().root().join("metrics.sock")).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the figures", stream.read_to_string(&mut answer)).await.unwrap();
    let value = answer.lines().find_map(|row| row.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {line} in {answer}")).parse().unwrap()
}

/// How often processes were replaced for this reason.
pub(super) async fn recycled(server: &TestServer, reason: &str) -> f64 {
    figure(server, &format!("claude_comms_processes_recycled_total{{reason=\"{reason}\"}}")).await
}

/// An instance as it is now.
pub(super) async fn get(client: &Client, id: &str) -> Instance {
    let request = GetInstanceRequest { id: id.into() };
    client.instances.clone().get_instance(request).await.unwrap().into_inner()
}

/// Waits until a pinned instance has lost its process, for this reason.
pub(super) async fn until_dormant(client: &Client, id: &str, reason: &str) -> Instance {
    let dormant = eventually(PATIENCE, "a dormant instance", async || {
        let instance = get(client, id).await;
        (instance.state() == InstanceState::Dormant).then_some(instance)
    })
    .await;
    assert_eq!(dormant.process_id, 0, "{dormant:?}");
    assert_eq!(dormant.exit.as_ref().map(|exit| exit.reason.as_str()), Some(reason), "{dormant:?}");
    dormant
}

/// Writes the server's file and tells it.
pub(super) fn reload(server: &TestServer, yaml: &str) {
    std::fs::write(server.world().root().join("claude-comms.yaml"), yaml).unwrap();
    signal(server.pid(), Signal::HUP);
}
