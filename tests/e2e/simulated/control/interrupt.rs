//! Interrupts: the turn ends, its end is durable when the call returns, the process stays, and what waits runs.

use claude_comms_proto::v1::InstanceState;
use tonic::Code;

use super::support::{TURNS, instance, pause, resume, try_interrupt};
use crate::simulated::support::{
    cancelled, completed, get, playing_turns, refused, start_instance, submit, submit_running, wait,
};

#[tokio::test]
async fn an_interrupted_turn_is_cancelled_and_the_process_stays() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    for _ in 0..20 {
        let mut running = submit_running(&client, &started.conversation_id, "hang").await;
        let after = try_interrupt(&client, "one").await.unwrap();
        assert_eq!((after.state(), after.process_id), (InstanceState::Idle, started.process_id));
        // Durable before the call returns.
        let turn = get(&client, running.turn_id()).await;
        cancelled(&turn, "INSTANCE_INTERRUPTED");
        assert_eq!(turn.partial_text, "Hanging");
        assert_eq!(running.to_end().await, &turn);
    }
    completed(client.ask(&started.conversation_id, "a good one").await.turn());
    let after = instance(&client, "one").await;
    assert_eq!((after.process_id, after.process_generation, after.turn_count), (started.process_id, 1, 21));
}

#[tokio::test]
async fn what_waits_behind_an_interrupted_turn_runs() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let running = submit_running(&client, &started.conversation_id, "hang").await;
    let waiting = submit(&client, &started.conversation_id, "waiting").await;
    try_interrupt(&client, "one").await.unwrap();
    cancelled(&get(&client, running.turn_id()).await, "INSTANCE_INTERRUPTED");
    completed(&wait(&client, &waiting.id).await);
}

#[tokio::test]
async fn an_interrupt_needs_a_running_turn() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    start_instance(&client, "one").await;
    refused(try_interrupt(&client, "one").await, Code::FailedPrecondition, "INSTANCE_NOT_BUSY");
    pause(&client, "one").await;
    refused(try_interrupt(&client, "one").await, Code::FailedPrecondition, "INSTANCE_NOT_BUSY");
    resume(&client, "one").await;
    let ran = server.cli(&["interrupt-instance", "--id", "one"]).await.expect(1);
    assert!(ran.stderr.contains("INSTANCE_NOT_BUSY") && ran.stdout.is_empty(), "{ran:?}");
}

#[tokio::test]
async fn an_interrupt_of_an_instance_that_is_about_to_pause_lets_it_pause() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let running = submit_running(&client, &started.conversation_id, "hang").await;
    pause(&client, "one").await;
    let after = server.cli(&["interrupt-instance", "--id", "one", "--output", "json"]).await.expect(0).json();
    assert_eq!(after["state"], "INSTANCE_STATE_PAUSED", "{after}");
    cancelled(&get(&client, running.turn_id()).await, "INSTANCE_INTERRUPTED");
    let resumed = server.cli(&["resume-instance", "--id", "one", "--output", "json"]).await.expect(0).json();
    assert_eq!(resumed["state"], "INSTANCE_STATE_IDLE", "{resumed}");
    completed(client.ask(&started.conversation_id, "a good one").await.turn());
}

#[tokio::test]
async fn the_commands_print_the_instance_as_it_is_after_them() {
    let server = playing_turns(TURNS).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let ran = server.cli(&["pause-instance", "--id", "one"]).await.expect(0);
    assert!(ran.stdout.contains("PAUSED") && ran.stderr.contains("resume-instance"), "{ran:?}");
    let refused = server.cli(&["query-instance", "--id", "one", "hello"]).await.expect(1);
    assert!(refused.stderr.contains("INSTANCE_PAUSED") && refused.stderr.contains("resume"), "{refused:?}");
    let listed = server.cli(&["list-instances"]).await.expect(0);
    assert!(listed.stdout.contains("PAUSED"), "{}", listed.stdout);
    let ran = server.cli(&["resume-instance", "--id", "one"]).await.expect(0);
    assert!(ran.stdout.contains("IDLE"), "{ran:?}");
    let mut running = submit_running(&client, &started.conversation_id, "slow").await;
    let ran = server.cli(&["pause-instance", "--id", "one"]).await.expect(0);
    assert!(ran.stdout.contains("BUSY") && ran.stderr.contains("once its turn has ended"), "{ran:?}");
    completed(running.to_end().await);
    let none = server.cli(&["pause-instance", "--id", "nobody"]).await.expect(4);
    assert!(none.stderr.contains("nobody"), "{none:?}");
}
