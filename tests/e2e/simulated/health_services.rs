//! `grpc.health.v1`: what monitoring is told of each service, and when that changes while the server runs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use claude_comms_tests::{Client, PATIENCE, TestServer, eventually, within};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus::{self, NotServing, Serving},
};

use super::support::{completed, playing_turns, submit_running, try_submit};

const OFTEN: &str = "pool: { health_interval: 50ms, drain_timeout: 60s }\n";
const CONVERSATIONS: &str = "claude_comms.v1.ConversationService";
const INSTANCES: &str = "claude_comms.v1.InstanceService";
const MODULES: &str = "claude_comms.v1.ModuleService";
const DIAGNOSTICS: &str = "claude_comms.v1.DiagnosticsService";

async fn said(client: &Client, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.into() };
    within("an answer", client.health.clone().check(request)).await.unwrap().into_inner().status()
}

async fn until_said(client: &Client, wanted: &[(&str, ServingStatus)]) {
    eventually(PATIENCE, &format!("{wanted:?}"), async || {
        for (service, status) in wanted {
            if said(client, service).await != *status {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// What a watcher of this service is told, as it comes.
struct Watch(tonic::Streaming<HealthCheckResponse>);

impl Watch {
    async fn of(client: &Client, service: &str) -> Self {
        let request = HealthCheckRequest { service: service.into() };
        Self(within("a watch", client.health.clone().watch(request)).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        within("a change", self.0.message()).await.unwrap().expect("the watch goes on").status()
    }
}

fn script(path: &Path) {
    fs::write(path, "#!/bin/sh\necho '2.1.330 (Claude Code)'\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_cli_that_disappears_takes_the_services_that_need_it_until_it_is_back() {
    let builder = TestServer::backend("claude").configuration(OFTEN);
    let binary = builder.world().root().join("claude");
    script(&binary);
    let server = builder.arguments(&["--claude-binary", &binary.to_string_lossy()]).start().await;
    let client = server.client().await;
    let mut watch = Watch::of(&client, CONVERSATIONS).await;
    assert_eq!(watch.next().await, Serving);
    fs::remove_file(&binary).unwrap();
    assert_eq!(watch.next().await, NotServing);
    let gone = [(INSTANCES, NotServing), (MODULES, NotServing), (DIAGNOSTICS, Serving), ("", Serving)];
    until_said(&client, &gone).await;
    script(&binary);
    assert_eq!(watch.next().await, Serving);
    until_said(&client, &[(INSTANCES, Serving), (MODULES, Serving)]).await;
}

#[tokio::test]
async fn a_server_whose_cli_is_missing_from_the_start_serves_once_it_is_installed() {
    let builder = TestServer::backend("claude").configuration(OFTEN);
    let binary = builder.world().root().join("claude");
    let server = builder.arguments(&["--claude-binary", &binary.to_string_lossy()]).start().await;
    let client = server.client().await;
    until_said(&client, &[(CONVERSATIONS, NotServing), ("", Serving)]).await;
    script(&binary);
    until_said(&client, &[(CONVERSATIONS, Serving), ("", Serving)]).await;
}

/// The file system refuses every write, as a full one does.
#[tokio::test]
async fn a_store_that_cannot_write_takes_all_that_need_it() {
    let server = TestServer::simulated().configuration(OFTEN).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    completed(client.ask(&conversation, "hello").await.turn());
    let mut watch = Watch::of(&client, "").await;
    assert_eq!(watch.next().await, Serving);
    let pid = Pid::from_raw(server.pid().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    // The first write finds out.
    let status = try_submit(&client, &conversation, "hello").await.expect_err("it cannot be written");
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal), "{status:?}");
    assert_eq!(watch.next().await, NotServing);
    let said = [CONVERSATIONS, INSTANCES, MODULES].map(|service| (service, NotServing));
    until_said(&client, &said).await;
    until_said(&client, &[(DIAGNOSTICS, Serving)]).await;
}

#[tokio::test]
async fn a_draining_server_serves_nothing_any_more_while_its_turns_end() {
    let server = playing_turns(super::support::HANG_ON_REQUEST).configuration(OFTEN).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let _heard = submit_running(&client, &conversation, "hang").await;
    let mut watches = Vec::new();
    for service in ["", CONVERSATIONS, INSTANCES, MODULES, DIAGNOSTICS] {
        let mut watch = Watch::of(&client, service).await;
        assert_eq!(watch.next().await, Serving, "{service}");
        watches.push(watch);
    }
    claude_comms_tests::processes::signal(server.pid(), Signal::TERM);
    for watch in &mut watches {
        assert_eq!(watch.next().await, NotServing);
    }
    until_said(&client, &[("", NotServing), (CONVERSATIONS, NotServing)]).await;
}
