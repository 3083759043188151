//! The second net.

use claude_comms_supervisor::Stop;
use rustix::process::Signal;

use crate::support::{Bench, is_complete_tree, kill, until};

#[tokio::test]
async fn a_sweep_ends_what_lost_its_reaper_and_only_what_is_ours() {
    let bench = Bench::new();
    let stranger = Bench::new();
    let theirs = stranger.start("tree").await;
    let ours = bench.start("tree deaf").await;
    for side in [&bench, &stranger] {
        until(|| is_complete_tree(&side.processes()), || format!("{:?}", side.processes())).await;
    }
    // The one way to make orphans: somebody kills the reaper.
    let reaper = bench.processes().into_iter().find(|found| found.arguments.contains("__reap")).unwrap();
    kill(reaper.pid, Signal::KILL);
    ours.exited().await;
    let mut orphans: Vec<u32> = bench.processes().iter().map(|found| found.pid.unsigned_abs()).collect();
    orphans.sort_unstable();
    assert_eq!(orphans.len(), 3, "{:?}", bench.processes());

    let report = bench.supervisor.sweep().await;
    let mut killed = report.killed.clone();
    killed.sort_unstable();
    assert_eq!((killed, report.survived), (orphans, vec![]));
    assert_eq!(bench.processes(), []);
    assert!(is_complete_tree(&stranger.processes()), "{:?}", stranger.processes());

    let again = bench.supervisor.sweep().await;
    assert!(again.killed.is_empty() && again.survived.is_empty(), "{again:?}");
    theirs.stop(Stop::Now).await;
    stranger.finish().await;
}

#[tokio::test]
async fn a_sweep_without_a_name_touches_nothing() {
    let bench = Bench::with(|options| options.owner = String::new());
    let report = bench.supervisor.sweep().await;
    assert!(report.killed.is_empty() && report.survived.is_empty(), "{report:?}");
}
