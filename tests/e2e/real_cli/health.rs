//! The real CLI says how it is, idle and in the middle of a turn, and it costs nothing.

use claude_comms_proto::v1::{InstanceHealth, InstanceHealthStatus as Status};
use claude_comms_tests::{Gate, PATIENCE, Reply, eventually, processes};
use rustix::process::Signal;

use super::stage::{Stage, assert_answer, hear_text};

async fn until_health(stage: &Stage, id: &str, status: Status) -> InstanceHealth {
    eventually(PATIENCE, &format!("{id} is {status:?}"), async || {
        stage.instance(id).await.health.filter(|health| health.status() == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_is_healthy_idle_and_busy_and_unhealthy_while_it_is_stopped() {
    let stage = Stage::with(|builder| builder.configuration("pool: { health_interval: 100ms }\n")).await;
    let instance = stage.start_instance("one", "").await;
    let idle = until_health(&stage, "one", Status::Healthy).await;
    assert!(idle.pss_bytes > 20 << 20 && idle.rss_bytes >= idle.pss_bytes && idle.processes >= 1, "{idle:?}");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(2).held_after(1, &gate));
    let mut heard = stage.query("one", "hello").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    let asked = stage.instance("one").await.health.unwrap().checked_time;
    eventually(PATIENCE, "a check during the turn", async || {
        let health = stage.instance("one").await.health.unwrap();
        (health.checked_time != asked && health.status() == Status::Healthy).then_some(())
    })
    .await;
    gate.open();
    heard.to_end().await;
    assert_answer(&heard, "tok0 tok1 ");
    processes::signal(instance.process_id, Signal::STOP);
    let stopped = until_health(&stage, "one", Status::Unhealthy).await;
    assert!(stopped.reason.contains("kill -CONT") && stopped.process_state == "stopped", "{stopped:?}");
    processes::signal(instance.process_id, Signal::CONT);
    until_health(&stage, "one", Status::Healthy).await;
    assert_eq!(stage.api.requests().len(), 1, "health costs no call");
    assert_eq!(stage.api.count_tokens_calls(), 0);
}
