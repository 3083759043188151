//! Vital signs: a process that answers, is silent, stopped, held up or gone, and the memory of its tree.

use std::time::Duration;

use claude_comms_supervisor::{StatusError, Stop, SystemState};
use rustix::process::Signal;

use crate::support::{Bench, ask, exited, finish, in_time, is_complete_tree, kill, send, until};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_process_answers_between_turns_and_its_turns_are_as_before() {
    let bench = Bench::new();
    let process = bench.start("").await;
    for _ in 0..3 {
        let report = process.status(LONG).await.unwrap();
        assert!(report.response_time < LONG, "{report:?}");
        assert_eq!(ask(&process, "hello").await, "5 bytes");
    }
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_silent_and_is_asked_no_second_time() {
    let bench = Bench::new();
    let process = bench.start("").await;
    // In this turn the made-up CLI hears nothing but an interrupt.
    let mut updates = send(&process, "hang").await;
    for _ in 0..3 {
        assert_eq!(process.status(SHORT).await, Err(StatusError::Silent { after: SHORT }));
    }
    process.interrupt().await.unwrap();
    assert!(finish(&mut updates).await.is_some());
    assert_eq!(ask(&process, "hello").await, "5 bytes");
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_process_that_somebody_stopped_is_seen_and_answers_once_it_goes_on() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let vitals = process.vitals();
    let state = || vitals.facts().map(|facts| facts.state);
    kill(process.process_id().cast_signed(), Signal::STOP);
    until(|| state() == Some(SystemState::Stopped), || format!("{:?}", state())).await;
    assert_eq!(vitals.status(SHORT).await, Err(StatusError::Silent { after: SHORT }));
    kill(process.process_id().cast_signed(), Signal::CONT);
    // The answer to the request that was given up: it says how long it took.
    let report = vitals.status(LONG).await.unwrap();
    assert!(report.response_time >= SHORT, "{report:?}");
    until(|| state() != Some(SystemState::Stopped), || format!("{:?}", state())).await;
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_process_whose_output_nobody_takes_is_held_and_not_silent() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, "count 30000").await;
    let vitals = process.vitals();
    let mut seen = vitals.status(SHORT).await;
    while seen.is_ok() {
        seen = vitals.status(SHORT).await;
    }
    assert_eq!(seen, Err(StatusError::Held));
    assert!(finish(&mut updates).await.is_some());
    assert!(vitals.status(LONG).await.is_ok());
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_paused_process_is_not_asked() {
    let bench = Bench::new();
    let process = bench.start("").await;
    process.pause().await.unwrap();
    assert_eq!(process.status(LONG).await, Err(StatusError::Paused));
    process.resume().await.unwrap();
    assert!(process.status(LONG).await.is_ok());
    bench.finish_with(process).await;
}

#[tokio::test]
async fn vital_signs_keep_no_process_alive_and_end_with_it() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let vitals = process.vitals();
    let mut state = process.state();
    drop(process);
    in_time("the end", state.wait_for(|state| state.exit().is_some())).await.unwrap();
    assert_eq!((vitals.status(LONG).await, vitals.facts()), (Err(StatusError::Exited), None));

    let process = bench.start("").await;
    let vitals = process.vitals();
    let asked = bench.tracker.spawn({
        let (process, vitals) = (process.clone(), vitals.clone());
        let mut updates = send(&process, "hang").await;
        async move {
            let answer = vitals.status(LONG).await;
            let _ended = updates.next().await;
            answer
        }
    });
    in_time("the stop", process.stop(Stop::Now)).await;
    assert_eq!(in_time("the answer", asked).await.unwrap(), Err(StatusError::Exited));
    exited(&process).await;
    bench.finish().await;
}

#[tokio::test]
async fn the_facts_are_those_of_the_whole_tree() {
    let bench = Bench::new();
    let process = bench.start("tree").await;
    until(|| is_complete_tree(&bench.processes()), || format!("{:?}", bench.processes())).await;
    let facts = process.vitals().facts().unwrap();
    // Of the five one is the reaper, which is not the CLI's.
    assert_eq!(facts.processes, 4, "{facts:?}");
    assert!(facts.rss_bytes > facts.pss_bytes && facts.pss_bytes > 0, "shared pages are divided: {facts:?}");
    assert!(matches!(facts.state, SystemState::Sleeping | SystemState::Running), "{facts:?}");
    bench.finish_with(process).await;
}
