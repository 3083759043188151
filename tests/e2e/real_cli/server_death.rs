//! `kill -9` of the server: no process is left within five seconds, whatever the CLI was doing, and after the restart each
//! turn has its one end.

use claude_comms_proto::v1::{TurnState, turn_event::Event};
use claude_comms_tests::{Gate, PATIENCE, Reply, eventually, processes};
use rustix::process::Signal;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::stage::{Stage, assert_answer, assert_failed, count, hear_text, is_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_turn_the_turn_fails_and_those_that_waited_run() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(2, &gate));
    let mut heard = stage.client.send(&conversation, "cut").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    let (three, four) =
        (stage.submit(&conversation, "three").await, stage.submit(&conversation, "four").await);
    assert_eq!((three.state(), four.state()), (TurnState::Queued, TurnState::Queued));
    stage.crash().await;
    stage.restart().await;
    let cut = stage.wait_turn(heard.turn_id()).await;
    assert_failed(&cut, "SERVER_RESTARTED");
    let kept = stage.watch(&cut.id).await;
    assert_eq!((count(&kept, is_terminal), kept.turn()), (1, &cut));
    for (turn, text) in [(three, "three"), (four, "four")] {
        let turn = stage.wait_turn(&turn.id).await;
        assert_eq!((turn.state(), turn.text.as_str()), (TurnState::Completed, text));
    }
    assert_answer(&stage.client.ask(&conversation, "five").await, "five");
    let users = stage.last_request_users();
    let expected: Vec<&str> = ["one", "cut", "three", "four", "five"]
        .into_iter()
        .filter(|text| *text != "cut" || cut.in_context)
        .collect();
    assert_eq!(users, expected);
    assert_eq!(stage.api.requests().len(), 5, "nothing ran twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_the_cli_had_finished_is_not_lost_with_the_server() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(4).held_after(2, &gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    let id = heard.turn_id().to_owned();
    // The CLI gets the rest and writes it down; the server cannot.
    processes::signal(stage.server.pid(), Signal::STOP);
    gate.open();
    eventually(PATIENCE, "the answer in the session's file", async || {
        stage
            .session_files()
            .iter()
            .any(|(_, content)| content.contains("tok0 tok1 tok2 tok3 "))
            .then_some(())
    })
    .await;
    stage.crash().await;
    stage.restart().await;
    let kept = stage.watch(&id).await;
    assert_answer(&kept, "tok0 tok1 tok2 tok3 ");
    assert_eq!(kept.turn().usage.unwrap().output_tokens, 4);
    assert!(kept.turn().in_context);
    assert_answer(&stage.client.ask(&conversation, "three").await, "three");
    assert_eq!(stage.last_request_users(), ["one", "two", "three"]);
    assert_eq!(stage.api.requests()[2].assistant_texts(), ["one", "tok0 tok1 tok2 tok3 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_idle_the_conversation_goes_on() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    for round in 1..=3 {
        let prompt = format!("round {round}");
        assert_answer(&stage.client.ask(&conversation, prompt.clone()).await, &prompt);
        stage.crash().await;
        stage.restart().await;
    }
    let last = stage.client.ask(&conversation, "last").await;
    assert_answer(&last, "last");
    assert_eq!(stage.last_request_users(), ["round 1", "round 2", "round 3", "last"]);
    assert_eq!(count(&last, |event| matches!(event, Event::SessionReset(_))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_stopped_cli_nothing_is_left_either() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    // Idle and stopped.
    processes::signal(stage.claude_pid(), Signal::STOP);
    stage.crash().await;
    stage.restart().await;
    // In the middle of a turn and stopped.
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(5).held_after(1, &gate));
    let mut heard = stage.client.send(&conversation, "two").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    processes::signal(stage.claude_pid(), Signal::STOP);
    stage.crash().await;
    stage.restart().await;
    assert_failed(&stage.wait_turn(heard.turn_id()).await, "SERVER_RESTARTED");
    assert_answer(&stage.client.ask(&conversation, "three").await, "three");
    let users = stage.last_request_users();
    assert_eq!((users[0].as_str(), users.last().unwrap().as_str()), ("one", "three"), "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_output_the_turn_ends_once() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    stage.api.queue(Reply::silence());
    let mut heard = stage.client.send(&conversation, "one").await.unwrap();
    heard.until(|event| matches!(event, Event::Started(_))).await;
    stage.api.wait_for_requests(1).await;
    stage.crash().await;
    stage.restart().await;
    let turn = stage.wait_turn(heard.turn_id()).await;
    assert_failed(&turn, "SERVER_RESTARTED");
    assert_answer(&stage.client.ask(&conversation, "two").await, "two");
    let users = stage.last_request_users();
    assert_eq!(users.iter().any(|user| user == "one"), turn.in_context, "{users:?}");
    assert_eq!(users.last().unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_turn_is_tried_again_the_memory_is_not_lost() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "one").await, "one");
    stage.api.always_for("deadly", Reply::silence());
    let mut heard = stage.client.send(&conversation, "deadly").await.unwrap();
    heard.next().await;
    stage.api.wait_for_requests(2).await;
    stage.kill_claude().await;
    stage.api.wait_for_requests(3).await;
    stage.crash().await;
    stage.restart().await;
    assert_failed(&stage.wait_turn(heard.turn_id()).await, "SERVER_RESTARTED");
    let next = stage.client.ask(&conversation, "two").await;
    assert_answer(&next, "two");
    assert_eq!(count(&next, |event| matches!(event, Event::SessionReset(_))), 0);
    let users = stage.last_request_users();
    assert_eq!(users.iter().filter(|user| *user == "one").count(), 1, "{users:?}");
    assert_eq!(stage.api.requests().last().unwrap().assistant_texts()[0], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_the_server_lets_the_turn_end_and_keeps_the_rest() {
    let mut stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(3).held_after(1, &gate));
    let mut heard = stage.client.send(&conversation, "one").await.unwrap();
    hear_text(&mut heard, "tok0 ").await;
    let two = stage.submit(&conversation, "two").await;
    let (server, mut health) = (&mut stage.server, stage.client.health.clone());
    let end_turn = async {
        eventually(PATIENCE, "a draining server", async || {
            let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
            (answer.status() == ServingStatus::NotServing).then_some(())
        })
        .await;
        gate.open();
        heard.to_end().await;
    };
    let (ran, ()) = tokio::join!(server.terminate(), end_turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_answer(&heard, "tok0 tok1 tok2 ");
    stage.server.processes().await_gone().await;
    stage.restart().await;
    let two = stage.wait_turn(&two.id).await;
    assert_eq!((two.state(), two.text.as_str()), (TurnState::Completed, "two"));
    assert_eq!(stage.last_request_users(), ["one", "two"]);
}
