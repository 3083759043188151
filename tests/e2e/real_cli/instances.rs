//! Pinned instances: used by name, stopped gently or at once, and there again after a restart of the server.

use claude_comms_proto::v1::{Instance, InstanceState, ListInstancesRequest, StopMode, TurnState};
use claude_comms_tests::{Gate, PATIENCE, Reply, client::reason, eventually, messages_api::Ending};
use tonic::Code;

use super::stage::{Stage, assert_answer, assert_cancelled, hear_text};

async fn list(stage: &Stage, include_stopped: bool) -> Vec<Instance> {
    let request = ListInstancesRequest { include_stopped, ..ListInstancesRequest::default() };
    stage.client.instances.clone().list_instances(request).await.unwrap().into_inner().instances
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_answers_by_name_and_tells_what_it_is() {
    let stage = Stage::new().await;
    let instance = stage.start_instance("helper", "Be brief.").await;
    assert_eq!((instance.state(), instance.pinned), (InstanceState::Idle, true));
    assert_eq!((instance.process_id, instance.process_generation), (stage.claude_pid(), 1));
    assert_eq!((instance.name.as_str(), instance.backend.as_str()), ("helper", "claude"));
    assert!(instance.memory_bytes > 50 << 20, "a CLI holds more than {} bytes", instance.memory_bytes);
    assert_eq!(stage.api.requests().len(), 0, "a start asks the model nothing");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(2).held_after(1, &gate));
    let mut heard = stage.query("helper", "hello").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    assert_eq!(stage.instance(&instance.id).await.state(), InstanceState::Busy);
    gate.open();
    heard.to_end().await;
    assert_answer(&heard, "tok0 tok1 ");
    assert_eq!(heard.turn().conversation_id, instance.conversation_id);
    let after = stage.await_state("helper", InstanceState::Idle).await;
    assert_eq!((after.turn_count, after.usage), (1, heard.turn().usage));
    // The conversation is the same, whoever asks.
    assert_answer(&stage.client.ask(&instance.conversation_id, "again").await, "again");
    assert_eq!(stage.last_request_users(), ["hello", "again"]);
    assert!(stage.api.requests()[1].system_texts().contains(&"Be brief.".into()));
    assert_eq!(list(&stage, false).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_gently_in_the_middle_the_turn_may_end() {
    let stage = Stage::new().await;
    let instance = stage.start_instance("gentle", "").await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(2).held_after(1, &gate));
    let mut heard = stage.query("gentle", "one").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    let mut queued = stage.query("gentle", "queued").await.unwrap();
    let end_turn = async {
        queued.to_end().await;
        stage.await_state(&instance.id, InstanceState::Stopping).await;
        let refused = stage.query(&instance.id, "too late").await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::FailedPrecondition, "INSTANCE_STOPPED")
        );
        gate.open();
        heard.to_end().await;
    };
    let (stopped, ()) = tokio::join!(stage.stop_instance("gentle", StopMode::Graceful), end_turn);
    assert_answer(&heard, "tok0 tok1 ");
    assert_cancelled(queued.turn(), "INSTANCE_STOPPED");
    assert_eq!((stopped.state(), stopped.process_id, stopped.turn_count), (InstanceState::Stopped, 0, 1));
    assert_eq!(stopped.exit.as_ref().unwrap().reason, "stopped", "{:?}", stopped.exit);
    assert_eq!(stage.server.processes().claudes(), []);
    assert_eq!((list(&stage, false).await.len(), list(&stage, true).await.len()), (0, 1));
    // The conversation lives on, on an instance of the pool.
    let next = stage.client.ask(&instance.conversation_id, "two").await;
    assert_answer(&next, "two");
    assert_ne!(next.turn().instance_id, instance.id);
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    // The name is free again.
    assert_ne!(stage.start_instance("gentle", "").await.id, instance.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_once_the_turn_is_cancelled() {
    let stage = Stage::new().await;
    let instance = stage.start_instance("sudden", "").await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(2).held_after(1, &gate));
    let mut heard = stage.query("sudden", "one").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    let stopped = stage.stop_instance("sudden", StopMode::Now).await;
    assert_eq!((stopped.state(), stopped.process_id), (InstanceState::Stopped, 0));
    heard.to_end().await;
    assert_cancelled(heard.turn(), "INSTANCE_STOPPED");
    assert_eq!(heard.turn().partial_text, "tok0 ");
    assert_eq!(stage.api.wait_for_ending(0).await, Ending::ListenerLeft);
    assert_eq!(stage.server.processes().claudes(), []);
    assert_eq!(stage.stop_instance(&instance.id, StopMode::Now).await.state(), InstanceState::Stopped);
    let next = stage.client.ask(&instance.conversation_id, "two").await;
    assert_answer(&next, "two");
    let users = stage.last_request_users();
    assert_eq!(users.iter().any(|user| user == "one"), heard.turn().in_context, "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_stops_with_a_clean_exit() {
    let stage = Stage::new().await;
    stage.start_instance("clean", "").await;
    stage.query("clean", "one").await.unwrap().to_end().await;
    let stopped = stage.stop_instance("clean", StopMode::Unspecified).await;
    let exit = stopped.exit.unwrap();
    assert_eq!((exit.code, exit.reason.as_str(), exit.stderr.as_str()), (0, "stopped", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_survives_the_server_and_works_again() {
    let mut stage = Stage::new().await;
    let instance = stage.start_instance("lasting", "Be brief.").await;
    for (round, crash) in [true, false].into_iter().enumerate() {
        let prompt = format!("round {round}");
        let mut heard = stage.query("lasting", &prompt).await.unwrap();
        heard.to_end().await;
        assert_answer(&heard, &prompt);
        if crash {
            stage.crash().await;
        } else {
            assert_eq!(stage.server.terminate().await.code, Some(0));
            stage.server.processes().await_gone().await;
        }
        stage.restart().await;
        let dormant = stage.instance("lasting").await;
        assert_eq!((dormant.state(), dormant.process_id), (InstanceState::Dormant, 0));
        assert_eq!((dormant.id.as_str(), dormant.pinned), (instance.id.as_str(), true));
        assert_eq!(dormant.conversation_id, instance.conversation_id);
    }
    let mut last = stage.query("lasting", "last").await.unwrap();
    last.to_end().await;
    assert_answer(&last, "last");
    assert_eq!(last.turn().instance_id, instance.id);
    assert_eq!(stage.last_request_users(), ["round 0", "round 1", "last"]);
    assert!(stage.api.requests()[2].system_texts().contains(&"Be brief.".into()));
    let now = stage.await_state("lasting", InstanceState::Idle).await;
    assert_eq!((now.process_generation, now.process_id, now.turn_count), (3, stage.claude_pid(), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_the_pool_made_goes_when_it_is_idle_and_the_conversation_resumes() {
    let stage = Stage::with(|builder| builder.configuration("pool: {idle_timeout: 1s}")).await;
    let conversation = stage.client.new_conversation().await;
    let first = stage.client.ask(&conversation, "one").await;
    let pinned = stage.start_instance("stays", "").await;
    eventually(PATIENCE, "only the pinned instance is left", async || {
        let left = list(&stage, false).await;
        (left.len() == 1 && left[0].id == pinned.id).then_some(())
    })
    .await;
    stage.await_claudes(1).await;
    let next = stage.client.ask(&conversation, "two").await;
    assert_eq!(next.turn().state(), TurnState::Completed);
    assert_ne!(next.turn().instance_id, first.turn().instance_id);
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    assert_eq!(stage.instance("stays").await.process_id, pinned.process_id);
}
