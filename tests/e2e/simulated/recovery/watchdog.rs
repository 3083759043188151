//! A process that says nothing, too much, or cannot be heard any more: each ends in a defined way, within its time.

use std::time::{Duration, Instant};

use claude_comms_proto::v1::{GetInstanceRequest, Instance, InstanceState, RetryScope, turn_event::Event};
use claude_comms_tests::{Client, PATIENCE, TestServer, client::Heard, eventually, processes};
use rustix::process::Signal;

use crate::simulated::support::{
    cancel, children, completed, failed, playing, playing_turns, start_instance, starts, submit_running,
};

const SHORT: &str = "pool: { silence_timeout: 1s }\n";
const OFTEN: &str = "pool: { health_interval: 100ms }\n";

fn retry_reasons(heard: &Heard) -> Vec<String> {
    let retries = heard.events.iter().filter_map(|event| match &event.event {
        Some(Event::Retrying(retrying)) if retrying.scope() == RetryScope::Process => {
            Some(retrying.reason.clone())
        }
        _ => None,
    });
    retries.collect()
}

async fn instance(client: &Client, id: &str) -> Instance {
    let request = GetInstanceRequest { id: id.into() };
    client.instances.clone().get_instance(request).await.unwrap().into_inner()
}

async fn until(client: &Client, id: &str, state: InstanceState) -> Instance {
    eventually(PATIENCE, &format!("{id} is {state:?}"), async || {
        let instance = instance(client, id).await;
        (instance.state() == state).then_some(instance)
    })
    .await
}

/// Of a world without turns only the idle instances' processes are left.
async fn until_one_claude(server: &TestServer) -> u32 {
    eventually(PATIENCE, "one process", async || match server.processes().claudes().as_slice() {
        [one] => Some(one.pid),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_process_silent_before_its_first_word_is_replaced_and_the_turn_answered() {
    let hang_once = "turns:\n  - { once: instance, steps: [hang] }\n";
    let server = playing_turns(hang_once).configuration(SHORT).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let heard = client.ask(&instance.conversation_id, "hello").await;
    completed(heard.turn());
    assert_eq!((heard.turn().attempt, starts(&heard)), (2, 2));
    assert_eq!(retry_reasons(&heard), ["PROCESS_STALLED"]);
    assert!(!processes::is_alive(instance.process_id), "who stalled is not asked again");
    completed(client.ask(&instance.conversation_id, "again").await.turn());
}

#[tokio::test]
async fn a_process_that_falls_silent_in_its_answer_fails_the_turn_with_what_had_come() {
    let server = playing("hang").configuration(SHORT).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let begin = Instant::now();
    let heard = client.ask(&instance.conversation_id, "hello").await;
    let message = failed(heard.turn(), "PROCESS_STALLED");
    assert!(message.contains("1s") && message.contains("pool.silence_timeout"), "{message}");
    assert_eq!((heard.turn().partial_text.as_str(), starts(&heard)), ("Let me think", 1));
    assert!(begin.elapsed() < Duration::from_secs(8), "it heard the interrupt: {:?}", begin.elapsed());
    eventually(PATIENCE, "the stalled process is gone", async || {
        (!processes::is_alive(instance.process_id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_silent_process_that_does_not_hear_either_is_killed_after_its_grace() {
    let server = playing("hang").configuration(SHORT).start().await;
    let client = server.client().await;
    let mut heard = submit_running(&client, &client.new_conversation().await, "hello").await;
    let claude = until_one_claude(&server).await;
    processes::signal(claude, Signal::STOP);
    let begin = Instant::now();
    heard.to_end().await;
    failed(heard.turn(), "PROCESS_STALLED");
    assert_eq!(heard.turn().partial_text, "Let me think");
    assert!(begin.elapsed() < Duration::from_secs(20), "1 s and 10 s of grace: {:?}", begin.elapsed());
    assert!(!processes::is_alive(claude));
}

#[tokio::test]
async fn who_thinks_or_waits_for_the_api_is_not_silent() {
    let slow = "turns:\n  - steps:\n    - api_retry: { status: 529, error: overloaded, delay_ms: 1500 }\n    \
                - { thinking: hmm }\n    - { delay_ms: 700 }\n    - { thinking: hmm }\n    - { delay_ms: 700 }\n    \
                - { text: done }\n";
    let server = playing_turns(slow).configuration(SHORT).start().await;
    let client = server.client().await;
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    assert_eq!((completed(heard.turn()), heard.turn().attempt), ("done", 1));
}

#[tokio::test]
async fn a_second_result_is_told_to_no_turn_and_its_process_takes_none() {
    let twice =
        "turns:\n  - { when: { equals: one }, steps: [{ text: first }], after: [{ result: SECOND }] }\n";
    let server = playing_turns(twice).start().await;
    let client = server.client().await;
    let instance = start_instance(&client, "one").await;
    let heard = client.ask(&instance.conversation_id, "one").await;
    assert_eq!(completed(heard.turn()), "first");
    let heard = client.ask(&instance.conversation_id, "two").await;
    let text = completed(heard.turn());
    assert!(!text.contains("SECOND") && text.contains("turn 2 of our conversation"), "{text}");
    assert!(!processes::is_alive(instance.process_id));
    let log = server.log();
    assert!(log.contains("a result that nobody had asked for"), "{log}");
}

#[tokio::test]
async fn what_an_idle_process_says_belongs_to_no_turn_and_is_its_last_word() {
    let late = "turns:\n  - { when: { equals: one }, steps: [{ text: first }], after: [{ delay_ms: 50 }, { text: LATE }] }\n";
    let server = playing_turns(late).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    assert_eq!(completed(client.ask(&started.conversation_id, "one").await.turn()), "first");
    let dormant = until(&client, "one", InstanceState::Dormant).await;
    let exit = dormant.exit.expect("it says how its process ended");
    assert!(exit.reason.contains("although no turn ran"), "{exit:?}");
    let heard = client.ask(&started.conversation_id, "two").await;
    assert!(!completed(heard.turn()).contains("LATE") && !heard.text.contains("LATE"), "{heard:?}");
    assert_eq!(heard.turn().attempt, 1);
}

#[tokio::test]
async fn a_process_whose_output_ends_while_it_lives_is_ended_and_its_transcript_asked() {
    // It answers into the void and writes its answer down.
    let mute = "turns:\n  - { when: { equals: one }, steps: [{ text: half }, close_stdout, { text: \" and half\" }] }\n";
    let server = playing_turns(mute).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let heard = client.ask(&started.conversation_id, "one").await;
    assert_eq!(completed(heard.turn()), "half and half");
    assert_eq!((heard.text.as_str(), starts(&heard)), ("half and half", 1), "the watchers have it too");
    assert!(!processes::is_alive(started.process_id));
    let text = completed(client.ask(&started.conversation_id, "two").await.turn()).to_owned();
    assert!(text.contains("turn 2 of our conversation. The one before asked: \"one\""), "{text}");
}

#[tokio::test]
async fn without_an_answer_in_the_transcript_a_closed_output_is_a_failure() {
    let server = playing_turns("turns:\n  - steps: [{ text: half }, close_stdout, hang]\n").start().await;
    let client = server.client().await;
    let begin = Instant::now();
    let heard = client.ask(&client.new_conversation().await, "hello").await;
    let message = failed(heard.turn(), "PROTOCOL_ERROR");
    assert!(message.contains("stdout was closed"), "{message}");
    assert_eq!(heard.turn().partial_text, "half");
    assert!(begin.elapsed() < Duration::from_secs(15), "within the stop grace: {:?}", begin.elapsed());
    assert!(server.processes().claudes().is_empty());
}

#[tokio::test]
async fn a_process_that_dies_after_its_answer_was_written_down_loses_nothing() {
    let mute = "turns:\n  - { when: { equals: one }, steps: [{ text: all }, close_stdout], after: [{ crash: kill }] }\n";
    let server = playing_turns(mute).start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let heard = client.ask(&conversation, "one").await;
    assert_eq!((completed(heard.turn()), heard.text.as_str(), heard.turn().attempt), ("all", "all", 1));
    assert!(heard.turn().usage.is_some_and(|usage| usage.output_tokens > 0), "{:?}", heard.turn());
    let text = completed(client.ask(&conversation, "two").await.turn()).to_owned();
    assert!(text.contains("The one before asked: \"one\""), "{text}");
}

#[tokio::test]
async fn a_busy_process_that_somebody_stopped_is_ended_and_its_turn_tried_again() {
    let hang_once = "turns:\n  - { once: instance, steps: [{ api_retry: { status: 529 } }, hang] }\n";
    let server = playing_turns(hang_once).configuration(OFTEN).start().await;
    let client = server.client().await;
    let started = start_instance(&client, "one").await;
    let mut heard = client.send(&started.conversation_id, "hello").await.unwrap();
    heard.until(|event| matches!(event, Event::Retrying(_))).await;
    processes::signal(started.process_id, Signal::STOP);
    heard.to_end().await;
    completed(heard.turn());
    assert_eq!((heard.turn().attempt, retry_reasons(&heard)), (2, vec!["PROCESS_STALLED".to_owned()]));
    assert!(!processes::is_alive(started.process_id));
}

#[tokio::test]
async fn a_stopped_process_in_its_answer_fails_the_turn_within_two_looks() {
    let server = playing("hang").configuration(OFTEN).start().await;
    let client = server.client().await;
    let mut heard = submit_running(&client, &client.new_conversation().await, "hello").await;
    processes::signal(until_one_claude(&server).await, Signal::STOP);
    heard.to_end().await;
    let message = failed(heard.turn(), "PROCESS_STALLED");
    assert!(message.contains("stopped by somebody else"), "{message}");
    assert_eq!(heard.turn().partial_text, "Let me think");
}

#[tokio::test]
async fn a_zombie_is_not_taken_for_a_process_that_lives() {
    let server = playing("hang").configuration(OFTEN).start().await;
    let client = server.client().await;
    let mut heard = submit_running(&client, &client.new_conversation().await, "hello").await;
    let claude = until_one_claude(&server).await;
    let parent = processes::read(claude).expect("it lives").parent;
    // Its parent takes no notice of its death.
    processes::signal(parent, Signal::STOP);
    processes::signal(claude, Signal::KILL);
    heard.to_end().await;
    failed(heard.turn(), "PROCESS_STALLED");
    eventually(PATIENCE, "nothing is left of it", async || children(&server).is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_a_dead_process_had_started_goes_with_it() {
    let server = playing("grandchild_then_crash").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut heard = client.send(&conversation, "hello").await.unwrap();
    heard.to_end().await;
    eventually(PATIENCE, "nothing is left of it", async || children(&server).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_cancelled_turn_is_cancelled_though_its_process_is_silent() {
    let server = playing("hang").configuration(SHORT).start().await;
    let client = server.client().await;
    let heard = submit_running(&client, &client.new_conversation().await, "hello").await;
    let ended = cancel(&client, heard.turn_id()).await;
    assert_eq!(ended.failure.map(|failure| failure.reason).as_deref(), Some("CANCEL_REQUESTED"));
}
