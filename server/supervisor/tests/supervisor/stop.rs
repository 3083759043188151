//! Stopping, pausing, and the last handle.

use std::time::{Duration, Instant};

use claude_comms_supervisor::{ControlError, ExitCause, Process, ProcessState, SendError, Stop};
use uuid::Uuid;

use crate::support::{Bench, Found, ask, exited, finish, in_time, send, until};

#[tokio::test]
async fn a_graceful_stop_is_eof_and_the_process_leaves_by_itself() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert_eq!(
        (exit.code, exit.cause, exit.stderr.as_str()),
        (Some(0), ExitCause::Stopped, "fake cli: end of stdin\n")
    );
    assert!(Found::read(process.process_id().cast_signed()).is_none());
    assert!(matches!(*process.state().borrow(), ProcessState::Exited(_)));
    bench.finish().await;
}

#[tokio::test]
async fn a_process_deaf_to_eof_is_killed_after_the_grace_and_not_before() {
    let grace = Duration::from_millis(300);
    let bench = Bench::with(|options| options.stop_grace = grace);
    let process = bench.start("deaf tree").await;
    let start = Instant::now();
    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert!(start.elapsed() >= grace, "{:?}", start.elapsed());
    // EOF came first: it had the time to say so.
    assert_eq!(exit.stderr, "fake cli: deaf to the end of stdin\n");
    assert_eq!((exit.code, exit.cause), (Some(137), ExitCause::Killed));
    bench.finish().await;
}

#[tokio::test]
async fn stop_now_overtakes_a_graceful_stop() {
    let bench = Bench::with(|options| options.stop_grace = Duration::from_secs(600));
    let process = bench.start("deaf").await;
    let graceful = bench.tracker.spawn({
        let process = process.clone();
        async move { process.stop(Stop::Graceful).await }
    });
    in_time("the grace", process.state().wait_for(|state| *state == ProcessState::Stopping)).await.unwrap();
    assert_eq!(process.send(Uuid::new_v4(), "late".into()).await.unwrap_err(), SendError::Exited);
    let now = in_time("the stop", process.stop(Stop::Now)).await;
    assert_eq!(now.cause, ExitCause::Killed);
    assert_eq!(in_time("the other stop", graceful).await.unwrap(), now);
    bench.finish().await;
}

#[tokio::test]
async fn a_turn_may_finish_in_the_grace() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, "count 2000").await;
    let exit = in_time("the stop", process.stop(Stop::Graceful));
    let (outcome, exit) = tokio::join!(finish(&mut updates), exit);
    assert!(outcome.is_some(), "the turn's end was delivered");
    assert_eq!((exit.code, exit.cause), (Some(0), ExitCause::Stopped));
    bench.finish().await;
}

#[tokio::test]
async fn an_exit_nobody_asked_for_is_a_crash_with_its_code_and_last_words() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, "exit 9").await;
    assert_eq!(finish(&mut updates).await, None);
    let exit = exited(&process).await;
    assert_eq!((exit.code, &exit.cause), (Some(9), &ExitCause::Crashed));
    assert_eq!(exit.stderr, "fake cli: leaving in the middle\n");
    // Whatever is asked of it now.
    assert_eq!(process.send(Uuid::new_v4(), "late".into()).await.unwrap_err(), SendError::Exited);
    assert_eq!(process.interrupt().await, Err(ControlError::Exited));
    assert_eq!(process.pause().await, Err(ControlError::Exited));
    assert_eq!(process.stop(Stop::Graceful).await, exit);
    bench.finish().await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_process() {
    let bench = Bench::new();
    let process = bench.start("deaf tree").await;
    let other = process.clone();
    let mut updates = send(&process, "hang").await;
    drop(process);
    in_time("the turn", updates.next()).await.unwrap();
    drop(other);
    assert_eq!(finish(&mut updates).await, None);
    bench.finish().await;
}

async fn until_state(process: &Process, wanted: impl Fn(char) -> bool) {
    let pid = process.process_id().cast_signed();
    let state = || Found::read(pid).map(|found| found.state);
    until(|| state().is_some_and(&wanted), || format!("state {:?}", state())).await;
}

#[tokio::test]
async fn a_paused_process_is_stopped_refuses_turns_and_works_again() {
    let bench = Bench::new();
    let process = bench.start("").await;
    for _ in 0..3 {
        process.pause().await.unwrap();
        process.pause().await.unwrap();
        until_state(&process, |state| state == 'T').await;
        assert_eq!(*process.state().borrow(), ProcessState::Paused);
        assert_eq!(process.send(Uuid::new_v4(), "hello".into()).await.unwrap_err(), SendError::Paused);
        process.resume().await.unwrap();
        process.resume().await.unwrap();
        until_state(&process, |state| state != 'T').await;
        assert_eq!(ask(&process, "hello").await, "5 bytes");
    }
    process.stop(Stop::Now).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_paused_process_is_continued_before_its_graceful_stop() {
    let bench = Bench::with(|options| options.stop_grace = Duration::from_secs(600));
    let process = bench.start("").await;
    process.pause().await.unwrap();
    until_state(&process, |state| state == 'T').await;
    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert_eq!((exit.code, exit.cause), (Some(0), ExitCause::Stopped));
    bench.finish().await;
}

#[tokio::test]
async fn a_busy_process_is_not_paused() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let _updates = send(&process, "hang").await;
    assert_eq!(process.pause().await, Err(ControlError::Busy));
    process.resume().await.unwrap();
    process.stop(Stop::Now).await;
    bench.finish().await;
}
