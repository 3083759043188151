//! Turns: through the pipes, against slow consumers, interrupted and broken.

use claude_comms_stream_json::turn::{Outcome, TurnUpdate};
use claude_comms_supervisor::{ExitCause, ProcessState, SendError, Stop};
use uuid::Uuid;

use crate::support::{Bench, ask, exited, finish, in_time, send, until};

#[tokio::test]
async fn turns_follow_one_another_through_one_process() {
    let bench = Bench::new();
    let process = bench.start("").await;
    for _ in 0..50 {
        // Idle is true before the end of the turn before can be seen.
        assert_eq!(ask(&process, "hello").await, "5 bytes");
        assert!(process.state().borrow().is_idle());
    }
    process.stop(Stop::Now).await;
    bench.finish().await;
}

#[tokio::test]
async fn one_turn_at_a_time() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let turn = Uuid::new_v4();
    let mut updates = process.send(turn, "hang".into()).await.unwrap();
    assert_eq!(*process.state().borrow(), ProcessState::Busy { turn });
    assert_eq!(process.send(Uuid::new_v4(), "second".into()).await.unwrap_err(), SendError::Busy);
    process.interrupt().await.unwrap();
    assert_eq!(finish(&mut updates).await, Some(Outcome::Aborted));
    bench.finish_with(process).await;
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_keeps_the_process() {
    let bench = Bench::new();
    let process = bench.start("").await;
    process.interrupt().await.unwrap();
    for _ in 0..3 {
        let mut updates = send(&process, "hang").await;
        in_time("the turn", updates.next()).await.unwrap();
        process.interrupt().await.unwrap();
        process.interrupt().await.unwrap();
        assert_eq!(finish(&mut updates).await, Some(Outcome::Aborted));
        assert_eq!(ask(&process, "hello").await, "5 bytes");
    }
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_huge_prompt_and_a_huge_output_at_once_do_not_deadlock() {
    let bench = Bench::new();
    let process = bench.start("chatty").await;
    let prompt = "p".repeat(2_000_000);
    assert_eq!(ask(&process, &prompt).await, "2000000 bytes");
    bench.finish_with(process).await;
}

/// Whether the process waits for room in a pipe.
fn waits_for_room(pid: u32) -> bool {
    // In the kernel's pipe_write, or, where that is hidden, in write(1, ...).
    let asleep = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    let syscall = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    asleep.contains("pipe_write") || syscall.starts_with("1 0x1 ")
}

#[tokio::test]
async fn a_slow_consumer_slows_the_process_and_loses_nothing() {
    const COUNT: usize = 30_000;
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, &format!("count {COUNT}")).await;
    // Nobody reads: the pipe fills and the process waits for room.
    until(|| waits_for_room(process.process_id()), || "the process never waited for its reader".into()).await;
    // Requests are served all the while.
    assert_eq!(process.send(Uuid::new_v4(), "second".into()).await.unwrap_err(), SendError::Busy);
    let mut text = String::new();
    while let Some(batch) = in_time("the next batch", updates.next()).await {
        for update in batch {
            if let TurnUpdate::Text(piece) = update {
                text.push_str(&piece);
            }
        }
    }
    let wanted: String = (0..COUNT).map(|number| format!("{number} ")).collect();
    assert!(text == wanted, "{} of {} bytes", text.len(), wanted.len());
    bench.finish_with(process).await;
}

#[tokio::test]
async fn a_slow_consumer_does_not_hold_up_a_stop() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, "count 30000").await;
    until(|| waits_for_room(process.process_id()), || "the process never waited for its reader".into()).await;
    assert_eq!(in_time("the stop", process.stop(Stop::Now)).await.cause, ExitCause::Killed);
    assert_eq!(finish(&mut updates).await, None);
    bench.finish().await;
}

#[tokio::test]
async fn the_last_output_of_a_crashed_process_still_reaches_a_slow_consumer() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let mut updates = send(&process, "count 30000").await;
    until(|| waits_for_room(process.process_id()), || "the process never waited for its reader".into()).await;
    crate::support::kill(process.process_id().cast_signed(), rustix::process::Signal::KILL);
    // The exit is known at once, though nobody has read what was said before it.
    assert_eq!(exited(&process).await.cause, ExitCause::Crashed);
    let mut bytes = 0;
    while let Some(batch) = in_time("the next batch", updates.next()).await {
        bytes += batch
            .iter()
            .map(|update| if let TurnUpdate::Text(text) = update { text.len() } else { 0 })
            .sum::<usize>();
    }
    assert!(bytes > 0);
    bench.finish().await;
}

#[tokio::test]
async fn a_turn_without_a_consumer_runs_to_its_end() {
    let bench = Bench::new();
    let process = bench.start("").await;
    drop(send(&process, "count 30000").await);
    in_time("the end of the turn", process.state().wait_for(ProcessState::is_idle)).await.unwrap();
    assert_eq!(ask(&process, "hello").await, "5 bytes");
    bench.finish_with(process).await;
}

#[tokio::test]
async fn requests_of_the_cli_are_answered_so_that_no_turn_hangs() {
    let bench = Bench::new();
    let process = bench.start("").await;
    let answers = ask(&process, "ask").await;
    let (first, second) = answers.split_once('\n').unwrap();
    assert!(first.contains(r#""behavior":"deny""#), "{first}");
    assert!(second.contains("unsupported_request"), "{second}");
    bench.finish_with(process).await;
}

#[tokio::test]
async fn output_that_cannot_be_read_ends_the_process_with_the_reason() {
    for (prompt, why) in [("not-utf8", "utf-8"), ("too-long", "limit of 1000000 bytes")] {
        let bench = Bench::with(|options| options.line_limit_bytes = 1_000_000);
        let process = bench.start("deaf tree").await;
        let mut updates = send(&process, prompt).await;
        assert_eq!(finish(&mut updates).await, None);
        match exited(&process).await.cause {
            ExitCause::Protocol(message) => assert!(message.contains(why), "{message}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.processes(), []);
        bench.finish().await;
    }
}
