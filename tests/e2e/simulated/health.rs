//! How processes are, as an operator sees it: by their answers and by the system's word, while others go on.

use claude_comms_proto::v1::{GetInstanceRequest, Instance, InstanceHealthStatus as Status};
use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually,
    processes::{is_alive, signal},
    server::Builder,
};
use rustix::process::Signal;

use super::support::{completed, playing_turns, start_instance, submit_running};

const OFTEN: &str = "pool: { health_interval: 100ms }\n";

async fn get(client: &Client, id: &str) -> Instance {
    let request = GetInstanceRequest { id: id.into() };
    client.instances.clone().get_instance(request).await.unwrap().into_inner()
}

async fn until_health(client: &Client, id: &str, status: Status) -> Instance {
    eventually(PATIENCE, &format!("{id} is {status:?}"), async || {
        let instance = get(client, id).await;
        instance.health.as_ref().is_some_and(|health| health.status() == status).then_some(instance)
    })
    .await
}

/// A scenario's processes are checked often.
async fn start(builder: Builder) -> (TestServer, Client) {
    let server = builder.configuration(OFTEN).start().await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test]
async fn idle_and_busy_processes_are_healthy_and_say_what_they_take() {
    let (server, client) = start(playing_turns(super::support::HANG_ON_REQUEST)).await;
    let (idle, busy) = (start_instance(&client, "idle").await, start_instance(&client, "busy").await);
    let _heard = submit_running(&client, &busy.conversation_id, "hang").await;
    for id in [&idle.id, &busy.id] {
        let instance = until_health(&client, id, Status::Healthy).await;
        let health = instance.health.unwrap();
        assert_eq!((health.reason.as_str(), health.processes), ("", 1), "{health:?}");
        assert!(health.response_time.is_some() && health.checked_time.is_some(), "{health:?}");
        assert!(health.rss_bytes >= health.pss_bytes && health.pss_bytes > 0, "{health:?}");
        assert!(["sleeping", "running"].contains(&health.process_state.as_str()), "{health:?}");
    }
    let list = server.cli(&["list-instances", "--output", "json"]).await.expect(0).json();
    assert_eq!(list["instances"][0]["health"]["status"], "INSTANCE_HEALTH_STATUS_HEALTHY", "{list}");
    let shown = server.cli(&["show-instance", "--id", "idle"]).await.expect(0).stdout;
    assert!(
        shown.contains("health") && shown.contains("HEALTHY") && shown.contains("answered in"),
        "{shown}"
    );
    let table = server.cli(&["list-instances"]).await.expect(0).stdout;
    assert!(table.contains("HEALTH") && table.matches("HEALTHY").count() == 2, "{table}");
}

#[tokio::test]
async fn a_process_that_somebody_stopped_is_unhealthy_until_it_goes_on() {
    // Between two looks there is time to let it go on.
    let server = TestServer::simulated().configuration("pool: { health_interval: 2s }\n").start().await;
    let client = server.client().await;
    let (stopped, other) = (start_instance(&client, "stopped").await, start_instance(&client, "other").await);
    until_health(&client, "stopped", Status::Healthy).await;
    signal(stopped.process_id, Signal::STOP);
    let seen = until_health(&client, "stopped", Status::Unhealthy).await.health.unwrap();
    signal(stopped.process_id, Signal::CONT);
    assert_eq!(seen.process_state, "stopped");
    assert!(seen.reason.contains(&format!("kill -CONT {}", stopped.process_id)), "{seen:?}");
    assert!(seen.response_time.is_none(), "{seen:?}");
    until_health(&client, "stopped", Status::Healthy).await;
    completed(client.ask(&stopped.conversation_id, "hello").await.turn());
    completed(client.ask(&other.conversation_id, "hello").await.turn());
    assert_eq!(get(&client, "stopped").await.process_id, stopped.process_id, "it was left alone");
    let log = server.log();
    assert!(log.contains("instance is unhealthy") && log.contains("instance is healthy again"), "{log}");
}

#[tokio::test]
async fn an_idle_process_found_unhealthy_twice_is_ended_and_its_conversation_goes_on() {
    let (server, client) = start(TestServer::simulated()).await;
    let (stopped, other) = (start_instance(&client, "stopped").await, start_instance(&client, "other").await);
    completed(client.ask(&stopped.conversation_id, "hello").await.turn());
    signal(stopped.process_id, Signal::STOP);
    let dormant = eventually(PATIENCE, "no process", async || {
        let instance = get(&client, "stopped").await;
        (instance.process_id == 0).then_some(instance)
    })
    .await;
    assert!(!is_alive(stopped.process_id) && dormant.health.is_none(), "{dormant:?}");
    let exit = dormant.exit.expect("it says why");
    assert!(exit.reason.starts_with("stalled: its process was stopped by somebody else"), "{exit:?}");
    let text = completed(client.ask(&stopped.conversation_id, "again").await.turn()).to_owned();
    assert!(text.contains("The one before asked: \"hello\""), "{text}");
    until_health(&client, "other", Status::Healthy).await;
    assert_eq!(get(&client, "other").await.process_id, other.process_id);
    assert!(server.log().contains("it was unhealthy twice"));
}

#[tokio::test]
async fn a_silent_process_is_unhealthy_then_replaced_and_holds_up_nobody() {
    let silent_after = "turns: [{ when: { contains: silence }, steps: [{ status: deaf }, { text: yes }] }]\n";
    let (_server, client) = start(playing_turns(silent_after)).await;
    let (silent, other) = (start_instance(&client, "silent").await, start_instance(&client, "other").await);
    completed(client.ask(&silent.conversation_id, "silence").await.turn());
    let seen = until_health(&client, "silent", Status::Unhealthy).await.health.unwrap();
    assert!(seen.reason.contains("no answer within 5 s"), "{seen:?}");
    assert!(seen.rss_bytes > 0 && seen.response_time.is_none(), "{seen:?}");
    completed(client.ask(&other.conversation_id, "hello").await.turn());
    eventually(PATIENCE, "the silent process is gone", async || (!is_alive(silent.process_id)).then_some(()))
        .await;
    completed(client.ask(&silent.conversation_id, "still there?").await.turn());
}

#[tokio::test]
async fn an_instance_without_a_process_has_no_health_and_a_new_process_is_checked_anew() {
    let (_server, client) = start(TestServer::simulated()).await;
    let instance = start_instance(&client, "one").await;
    until_health(&client, "one", Status::Healthy).await;
    signal(instance.process_id, Signal::KILL);
    let dormant = eventually(PATIENCE, "no process", async || {
        let instance = get(&client, "one").await;
        (instance.process_id == 0).then_some(instance)
    })
    .await;
    assert!(dormant.health.is_none() && !is_alive(instance.process_id), "{dormant:?}");
    completed(client.ask(&instance.conversation_id, "hello").await.turn());
    let again = until_health(&client, "one", Status::Healthy).await;
    assert_ne!(again.process_id, instance.process_id);
}
