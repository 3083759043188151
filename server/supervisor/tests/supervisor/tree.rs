//! Nothing outlives its owner.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use claude_comms_supervisor::{ExitCause, Stop};
use rustix::process::Signal;

use crate::support::{Bench, Found, PROGRAM, exited, is_complete_tree, kill, until};

async fn until_complete(bench: &Bench) {
    until(|| is_complete_tree(&bench.processes()), || format!("incomplete: {:?}", bench.processes())).await;
}

#[tokio::test]
async fn stop_now_ends_the_whole_tree_and_what_left_its_session() {
    let bench = Bench::new();
    let process = bench.start("tree deaf").await;
    until_complete(&bench).await;
    let exit = process.stop(Stop::Now).await;
    assert_eq!(bench.processes(), [], "stop() resolves only when the tree is gone");
    assert_eq!((exit.code, exit.cause), (Some(137), ExitCause::Killed));
    bench.finish().await;
}

#[tokio::test]
async fn a_tree_that_is_stopped_ends_all_the_same() {
    let bench = Bench::new();
    let process = bench.start("tree deaf").await;
    until_complete(&bench).await;
    for found in bench.processes() {
        if !found.arguments.contains("__reap") {
            kill(found.pid, Signal::STOP);
        }
    }
    process.stop(Stop::Now).await;
    bench.finish().await;
}

#[tokio::test]
async fn what_a_cli_leaves_behind_when_it_exits_is_ended_too() {
    let bench = Bench::new();
    let process = bench.start("tree").await;
    until_complete(&bench).await;
    let exit = process.stop(Stop::Graceful).await;
    assert_eq!((exit.code, exit.cause), (Some(0), ExitCause::Stopped));
    assert_eq!(bench.processes(), []);
    bench.finish().await;
}

#[tokio::test]
async fn a_killed_cli_takes_its_tree_with_it() {
    let bench = Bench::new();
    let process = bench.start("tree deaf").await;
    until_complete(&bench).await;
    kill(process.process_id().cast_signed(), Signal::KILL);
    let exit = exited(&process).await;
    assert_eq!((exit.code, exit.cause), (Some(137), ExitCause::Crashed));
    assert_eq!(bench.processes(), []);
    bench.finish().await;
}

#[tokio::test]
async fn a_killed_reaper_takes_its_cli_with_it() {
    let bench = Bench::new();
    let process = bench.start("deaf").await;
    let reaper = bench.processes().into_iter().find(|found| found.arguments.contains("__reap")).unwrap();
    kill(reaper.pid, Signal::KILL);
    let exit = exited(&process).await;
    assert_eq!((exit.code, exit.cause), (None, ExitCause::Crashed));
    bench.until_nothing_is_left().await;
}

/// A server in a process of its own.
struct Owner(Child);

impl Owner {
    fn spawn(bench: &Bench, mode: &str, activity: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an owner to be killed")]
        let mut command = Command::new(PROGRAM);
        command.arg("owner").arg(bench.directory.path()).args([&bench.owner, mode, activity]);
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// The pid of its CLI, once it has come as far as it should.
    fn wait_for_cli(&mut self) -> i32 {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    fn kill(self) {
        drop(self);
    }
}

/// Also when a test fails: an owner that lives on would keep its processes.
impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_killed_server_leaves_no_process_whatever_they_were_doing() {
    for (mode, activity) in [
        ("tree", "idle"),
        ("tree deaf", "idle"),
        ("tree deaf", "busy"),
        ("tree deaf", "paused"),
        ("", "busy"),
    ] {
        let bench = Bench::new();
        let mut owner = Owner::spawn(&bench, mode, activity);
        let cli = owner.wait_for_cli();
        if mode.contains("tree") {
            until_complete(&bench).await;
        }
        if activity == "paused" {
            let stopped = || Found::read(cli).is_some_and(|found| found.state == 'T');
            until(stopped, || format!("not stopped: {:?}", Found::read(cli))).await;
        }
        owner.kill();
        bench.until_nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_server_killed_while_it_starts_processes_leaves_none() {
    for run in 0..25 {
        let bench = Bench::new();
        let owner = Owner::spawn(&bench, "tree deaf", "idle");
        // Not to wait for something: to be killed at some other point of the start each time.
        tokio::time::sleep(Duration::from_micros(600 * run)).await;
        owner.kill();
        bench.until_nothing_is_left().await;
    }
}
