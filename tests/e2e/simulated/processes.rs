//! What a Claude starts and whatever it ignores: nothing of it is left once it is stopped, or the server is gone.

use claude_comms_proto::v1::{InstanceState, StopInstanceRequest, StopMode};
use claude_comms_tests::{
    Client, PATIENCE, TestServer, eventually,
    processes::{GONE_WITHIN, Process, zombies_of},
};

use super::support::{
    cancelled, children, completed, failed, playing, playing_turns, start_instance, submit, submit_running,
    wait,
};

const STUBBORN: [&str; 3] = ["ignore_eof", "ignore_eof_and_sigterm", "grandchild"];

/// An instance whose Claude has answered and is as its scenario wants it.
async fn stubborn(name: &str) -> (TestServer, Client) {
    let server = playing(name).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    completed(client.ask(&instance.conversation_id, "hello").await.turn());
    let escaped = |p: &Process| p.arguments.iter().any(|argument| argument == "--grandchild-for-seconds");
    let grandchildren = children(&server).into_iter().filter(escaped).count();
    assert_eq!(grandchildren, usize::from(name == "grandchild"), "{name}: {:#?}", children(&server));
    (server, client)
}

async fn nothing_but_the_server(server: &TestServer, why: &str) {
    eventually(GONE_WITHIN, why, async || children(server).is_empty().then_some(())).await;
    eventually(GONE_WITHIN, "no zombie", async || zombies_of(server.pid()).is_empty().then_some(())).await;
}

#[tokio::test]
async fn stopping_an_instance_leaves_nothing_of_it() {
    for name in STUBBORN {
        let (server, _) = stubborn(name).await;
        let ran = server.cli(&["stop-instance", "--id", "one", "--output", "json"]).await.expect(0).json();
        assert_eq!(
            (&ran["state"], &ran["processId"]),
            (&"INSTANCE_STATE_STOPPED".into(), &0.into()),
            "{ran}"
        );
        nothing_but_the_server(&server, name).await;
    }
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_leaves_nothing() {
    for name in STUBBORN {
        let (mut server, _) = stubborn(name).await;
        let ran = server.terminate().await.expect(0);
        server.processes().await_gone().await;
        assert!(!ran.stderr.contains("tasks were still running"), "{name}: {}", ran.stderr);
        assert!(!server.world().socket().exists(), "the socket goes with its server");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_nothing() {
    for name in STUBBORN {
        let (mut server, _) = stubborn(name).await;
        server.kill9().await;
        server.processes().await_gone().await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_busy_and_no_frozen_process() {
    let mut server = playing("hang").start().await;
    let client = server.client().await;
    let (busy, frozen) = (client.new_conversation().await, start_instance(&client, "frozen").await);
    submit_running(&client, &busy, "hello").await;
    claude_comms_tests::processes::signal(frozen.process_id, rustix::process::Signal::STOP);
    server.kill9().await;
    server.processes().await_gone().await;
}

#[tokio::test]
async fn what_escaped_into_a_session_of_its_own_goes_with_the_process_that_made_it() {
    let server = playing("grandchild_then_crash").configuration("retry:\n  max_attempts: 1\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    failed(client.ask(&conversation, "hello").await.turn(), "PROCESS_DIED");
    nothing_but_the_server(&server, "the grandchild").await;
}

#[tokio::test]
async fn a_graceful_stop_lets_the_running_turn_end_and_cancels_what_was_queued_through_it() {
    let server = playing_turns("turns:\n  - steps: [{ repeat: { text: \"x\", count: 40, delay_ms: 10 } }]\n")
        .start()
        .await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let mut running = submit_running(&client, &instance.conversation_id, "running").await;
    let request = claude_comms_proto::v1::SubmitMessageRequest {
        conversation_id: instance.conversation_id.clone(),
        prompt: "through the instance".into(),
        instance_id: "one".into(),
        ..Default::default()
    };
    let through = client.conversations.clone().submit_message(request).await.unwrap().into_inner();
    let plain = submit(&client, &instance.conversation_id, "through the conversation").await;
    let stop = StopInstanceRequest { id: "one".into(), mode: StopMode::Graceful.into() };
    let stopped = client.instances.clone().stop_instance(stop).await.unwrap().into_inner();
    assert_eq!(stopped.state(), InstanceState::Stopped);
    assert_eq!(completed(running.to_end().await), "x".repeat(40));
    cancelled(&wait(&client, &through.id).await, "INSTANCE_STOPPED");
    // The conversation lives on, on an instance of the pool.
    let plain = wait(&client, &plain.id).await;
    completed(&plain);
    assert_ne!(plain.instance_id, instance.id);
}

#[tokio::test]
async fn a_stop_now_cancels_the_running_turn_at_once() {
    let server = playing("hang").start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let mut running = submit_running(&client, &instance.conversation_id, "running").await;
    let _ = server.cli(&["stop-instance", "--id", "one", "--now"]).await.expect(0);
    let turn = running.to_end().await;
    cancelled(turn, "INSTANCE_STOPPED");
    assert_eq!(turn.partial_text, "Let me think");
    nothing_but_the_server(&server, "the stopped instance").await;
    let again =
        server.cli(&["stop-instance", "--id", &instance.id, "--output", "json"]).await.expect(0).json();
    assert_eq!(again["state"], "INSTANCE_STATE_STOPPED", "stopping a stopped one returns it");
}

#[tokio::test]
async fn a_stopped_process_is_stopped_all_the_same() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "frozen").await;
    claude_comms_tests::processes::signal(instance.process_id, rustix::process::Signal::STOP);
    let stopping = server.cli(&["stop-instance", "--id", "frozen"]);
    let _ = tokio::time::timeout(PATIENCE, stopping).await.expect("it ends").expect(0);
    nothing_but_the_server(&server, "the frozen instance").await;
}

#[tokio::test]
async fn a_server_ends_in_its_time_also_while_a_process_starts() {
    let mut server = playing("deaf_initialize").configuration("pool: {drain_timeout: 1s}\n").start().await;
    let client = server.client().await;
    let _starting = server.cli_command(&["start-instance", "--name", "one"]).spawn().unwrap();
    let turn = submit(&client, &client.new_conversation().await, "hello").await;
    eventually(PATIENCE, "two processes start", async || {
        (server.processes().claudes().len() == 2).then_some(())
    })
    .await;
    let begin = std::time::Instant::now();
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(begin.elapsed() < std::time::Duration::from_secs(15), "it took {:?}", begin.elapsed());
    server.processes().await_gone().await;
    let _ = turn;
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once_and_leaves_nothing() {
    let mut server = playing("hang").start().await;
    let client = server.client().await;
    submit_running(&client, &client.new_conversation().await, "hello").await;
    claude_comms_tests::processes::signal(server.pid(), rustix::process::Signal::TERM);
    eventually(PATIENCE, "it drains", async || server.log().contains("draining").then_some(())).await;
    assert_eq!(server.terminate().await.code, Some(130));
    server.processes().await_gone().await;
}
