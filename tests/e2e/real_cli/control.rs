//! What an operator does to a real CLI: interrupt it in the middle of its answer, hold it still, end it at once.

use std::{
    fs,
    time::{Duration, Instant},
};

use claude_comms_proto::v1::{
    Instance, InstanceState, InterruptInstanceRequest, ListTurnsRequest, PauseInstanceRequest,
    ResumeInstanceRequest,
};
use claude_comms_tests::{
    Gate, PATIENCE, Reply, client::Heard, eventually, messages_api::Ending, processes, processes::Kind,
    within,
};

use super::stage::{Stage, assert_answer, assert_cancelled, count, hear_text, is_terminal};

async fn interrupt(stage: &Stage, id: &str) -> Instance {
    let request = InterruptInstanceRequest { id: id.into() };
    within("an interrupted instance", stage.client.instances.clone().interrupt_instance(request))
        .await
        .unwrap()
        .into_inner()
}

/// An answer of so many words of which two have come; the others wait at the gate.
async fn in_its_middle(stage: &Stage, words: usize) -> (Gate, Heard) {
    let gate = Gate::new();
    stage.api.queue(Reply::tokens(words).held_after(2, &gate));
    let mut heard = stage.query("op", "one").await.unwrap();
    hear_text(&mut heard, "tok1 ").await;
    (gate, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_interrupted_in_its_middle_and_the_same_process_gives_a_good_one() {
    let stage = Stage::new().await;
    let started = stage.start_instance("op", "").await;
    let (_gate, mut heard) = in_its_middle(&stage, 9).await;
    let after = interrupt(&stage, "op").await;
    assert_eq!((after.state(), after.process_id), (InstanceState::Idle, started.process_id));
    let turn = stage.turn(heard.turn_id()).await;
    assert_cancelled(&turn, "INSTANCE_INTERRUPTED");
    assert_eq!(turn.partial_text, "tok0 tok1 ");
    assert_eq!(heard.to_end().await, &turn);
    assert_eq!(count(&heard, is_terminal), 1);
    assert_eq!(stage.api.wait_for_ending(0).await, Ending::ListenerLeft, "the request is dropped");

    assert_answer(&stage.client.ask(&started.conversation_id, "two").await, "two");
    let after = stage.instance("op").await;
    assert_eq!((after.process_id, after.process_generation, after.turn_count), (started.process_id, 1, 2));
}

/// Before the request to the API, while nothing comes, in the middle of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_interrupts_in_a_row_leave_a_good_process() {
    let stage = Stage::new().await;
    let started = stage.start_instance("op", "").await;
    stage.api.always_for("silent", Reply::silence());
    stage.api.always_for("talking", Reply::tokens(9).hang_after(2));
    let mut interrupted = Vec::new();
    for round in 0..20 {
        let prompt = if round % 3 == 2 { "talking" } else { "silent" };
        let mut heard = stage.query("op", &format!("{prompt} {round}")).await.unwrap();
        match round % 3 {
            0 => {
                heard.next().await;
            }
            1 => {
                use claude_comms_proto::v1::turn_event::Event;
                heard.until(|event| matches!(event, Event::Started(_))).await;
            }
            _ => hear_text(&mut heard, "tok1 ").await,
        }
        let after = interrupt(&stage, "op").await;
        assert_eq!((after.state(), after.process_id), (InstanceState::Idle, started.process_id));
        assert_cancelled(heard.to_end().await, "INSTANCE_INTERRUPTED");
        interrupted.push(heard.turn_id().to_owned());
        if round % 5 == 4 {
            let text = format!("well {round}");
            assert_answer(&stage.client.ask(&started.conversation_id, text.clone()).await, &text);
        }
    }
    for turn in interrupted {
        assert_cancelled(&stage.turn(&turn).await, "INSTANCE_INTERRUPTED");
    }
    let after = stage.instance("op").await;
    assert_eq!((after.process_id, after.process_generation, after.turn_count), (started.process_id, 1, 24));
}

/// State letter and CPU time (user and system, clock ticks) of a process.
fn standing(pid: u32) -> (char, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
    (fields[0].chars().next().unwrap(), ticks(11) + ticks(12))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_cli_takes_no_time_for_five_seconds_and_goes_on_with_its_memory() {
    let stage = Stage::new().await;
    let started = stage.start_instance("op", "").await;
    assert_answer(&stage.client.ask(&started.conversation_id, "one").await, "one");
    // Its end is told before its instance is back.
    stage.await_state("op", InstanceState::Idle).await;
    let request = PauseInstanceRequest { id: "op".into() };
    let paused = stage.client.instances.clone().pause_instance(request).await.unwrap().into_inner();
    assert_eq!((paused.state(), paused.process_id), (InstanceState::Paused, started.process_id));
    let before = eventually(PATIENCE, "the CLI stands still", async || {
        let standing = standing(started.process_id);
        (standing.0 == 'T').then_some(standing)
    })
    .await;
    let begin = Instant::now();
    eventually(PATIENCE, "five seconds", async || {
        assert_eq!(standing(started.process_id), before, "after {:?}", begin.elapsed());
        (begin.elapsed() >= Duration::from_secs(5)).then_some(())
    })
    .await;
    let refused = stage.query("op", "two").await.unwrap_err();
    assert_eq!(claude_comms_tests::client::reason(&refused), "INSTANCE_PAUSED");

    let request = ResumeInstanceRequest { id: "op".into() };
    let resumed = stage.client.instances.clone().resume_instance(request).await.unwrap().into_inner();
    assert_eq!((resumed.state(), resumed.process_id), (InstanceState::Idle, started.process_id));
    assert_answer(&stage.client.ask(&started.conversation_id, "two").await, "two");
    assert_eq!(stage.last_request_users(), ["one", "two"]);
    assert_eq!(stage.claude_pid(), started.process_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_cli_ends_its_answer_before_it_is_paused_and_what_waits_is_asked_after_that() {
    let stage = Stage::new().await;
    let started = stage.start_instance("op", "").await;
    let (gate, mut heard) = in_its_middle(&stage, 4).await;
    let waiting = stage.submit(&started.conversation_id, "two").await;
    let ran = stage.server.cli(&["pause-instance", "--id", "op", "--output", "json"]).await.expect(0).json();
    assert_eq!((&ran["state"], &ran["pausePending"]), (&"INSTANCE_STATE_BUSY".into(), &true.into()), "{ran}");
    gate.open();
    heard.to_end().await;
    assert_answer(&heard, "tok0 tok1 tok2 tok3 ");
    stage.await_state("op", InstanceState::Paused).await;
    eventually(PATIENCE, "the CLI stands still", async || {
        (standing(started.process_id).0 == 'T').then_some(())
    })
    .await;
    let _ = stage.server.cli(&["resume-instance", "--id", "op"]).await.expect(0);
    assert_eq!(stage.wait_turn(&waiting.id).await.text, "two");
    assert_eq!(stage.claude_pid(), started.process_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_now_in_the_middle_of_an_answer_leaves_one_cancelled_record_and_no_process() {
    let stage = Stage::new().await;
    let started = stage.start_instance("op", "").await;
    let (_gate, mut heard) = in_its_middle(&stage, 9).await;
    let ran = stage.server.cli(&["stop-instance", "--id", "op", "--now", "--output", "json"]).await.expect(0);
    assert_eq!(ran.json()["state"], "INSTANCE_STATE_STOPPED", "{ran:?}");
    assert!(!processes::is_alive(started.process_id));
    let left: Vec<_> =
        stage.server.processes().all().into_iter().filter(|process| process.kind != Kind::Server).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_cancelled(heard.to_end().await, "INSTANCE_STOPPED");
    assert_eq!(heard.turn().partial_text, "tok0 tok1 ");

    let request =
        ListTurnsRequest { conversation_id: started.conversation_id.clone(), ..ListTurnsRequest::default() };
    let turns = stage.client.conversations.clone().list_turns(request).await.unwrap().into_inner().turns;
    let [turn] = turns.as_slice() else { panic!("not exactly one record: {turns:#?}") };
    assert_cancelled(turn, "INSTANCE_STOPPED");
    assert_eq!(count(&stage.watch(&turn.id).await, is_terminal), 1);
}
