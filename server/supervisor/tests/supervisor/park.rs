//! Parked processes: nothing is written to them before they are claimed, and then they are as any other.

use std::time::Duration;

use claude_comms_supervisor::{
    ControlError, ExitCause, ProcessState, SendError, StartError, StatusError, Stop,
};
use rustix::process::Signal;
use uuid::Uuid;

use crate::support::{Bench, Found, ask, exited, fake, in_time, kill};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_parked_process_is_the_program_and_takes_turns_once_it_is_claimed() {
    let bench = Bench::new();
    let process = in_time("park", bench.supervisor.park(fake(""))).await.unwrap();
    let parked = process.process_id();
    let cli = Found::read(parked.cast_signed()).unwrap();
    assert!(!cli.arguments.contains("__reap"), "the pid is the cli's, not the reaper's: {cli:?}");
    assert_eq!(*process.state().borrow(), ProcessState::Parked);
    assert_eq!(process.cli_version(), "");
    assert!(process.vitals().facts().is_some_and(|facts| facts.rss_bytes > 0), "its memory is seen");

    in_time("claim", process.claim(Some("who you are"), LONG)).await.unwrap();
    assert!(process.state().borrow().is_idle());
    assert_eq!((process.process_id(), process.cli_version()), (parked, "2.1.330"));
    assert_eq!(ask(&process, "hello").await, "5 bytes");
    bench.finish_with(process).await;
}

#[tokio::test]
async fn nobody_but_a_claimer_speaks_to_a_parked_process() {
    let bench = Bench::new();
    let process = in_time("park", bench.supervisor.park(fake(""))).await.unwrap();
    assert_eq!(process.send(Uuid::new_v4(), "x".into()).await.err(), Some(SendError::Busy));
    assert_eq!(process.status(LONG).await, Err(StatusError::Parked));
    assert_eq!(process.pause().await, Err(ControlError::Busy));
    assert_eq!(process.interrupt().await, Ok(()), "there is nothing to interrupt");
    assert_eq!(*process.state().borrow(), ProcessState::Parked);
    let exit = in_time("the stop", process.stop(Stop::Graceful)).await;
    assert_eq!((exit.code, exit.cause), (Some(0), ExitCause::Stopped));
    bench.finish().await;
}

#[tokio::test]
async fn a_process_is_claimed_once() {
    let bench = Bench::new();
    let process = in_time("park", bench.supervisor.park(fake(""))).await.unwrap();
    in_time("claim", process.claim(None, LONG)).await.unwrap();
    let again = in_time("another claim", process.claim(None, LONG)).await;
    assert!(matches!(again, Err(StartError::Exited { .. })), "{again:?}");
    bench.finish().await;
}

#[tokio::test]
async fn a_parked_process_that_died_or_does_not_answer_cannot_be_claimed_and_leaves_nothing() {
    let bench = Bench::new();
    let process = in_time("park", bench.supervisor.park(fake(""))).await.unwrap();
    kill(process.process_id().cast_signed(), Signal::KILL);
    assert_eq!(exited(&process).await.cause, ExitCause::Crashed);
    let late = in_time("the claim", process.claim(None, LONG)).await;
    assert!(matches!(late, Err(StartError::Exited { code: Some(137), .. })), "{late:?}");

    let process = in_time("park", bench.supervisor.park(fake("silent"))).await.unwrap();
    let limit = Duration::from_millis(300);
    let silent = in_time("the claim", process.claim(None, limit)).await;
    assert!(matches!(&silent, Err(StartError::Timeout { after, .. }) if *after == limit), "{silent:?}");

    let process = in_time("park", bench.supervisor.park(fake("refuse"))).await.unwrap();
    let refused = in_time("the claim", process.claim(None, LONG)).await;
    assert!(matches!(refused, Err(StartError::Protocol { .. })), "{refused:?}");
    bench.finish().await;
}

#[tokio::test]
async fn a_parked_process_ends_with_its_last_handle() {
    let bench = Bench::new();
    let process = in_time("park", bench.supervisor.park(fake(""))).await.unwrap();
    assert!(!bench.processes().is_empty());
    drop(process);
    bench.until_nothing_is_left().await;
    bench.finish().await;
}
