//! Alone in its process, which it counts the descriptors of.

#![expect(clippy::unwrap_used, reason = "a test says enough by failing")]

#[path = "supervisor/support.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use claude_comms_supervisor::Stop;

use support::{Bench, ask, fake, in_time};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn no_descriptor_is_left_open_by_starts_stops_and_failures() {
    let bench = Bench::new();
    // The runtime's own descriptors are opened at the first use.
    bench.start("").await.stop(Stop::Graceful).await;
    let before = open_descriptors();
    for round in 0..50 {
        match round % 4 {
            0 => drop(bench.try_start(fake("exit 1")).await.unwrap_err()),
            1 => drop(bench.start("tree").await),
            2 => drop(bench.start("").await.stop(Stop::Graceful).await),
            _ => {
                let process = bench.start("").await;
                ask(&process, "hello").await;
                in_time("the stop", process.stop(Stop::Now)).await;
            }
        }
    }
    bench.tracker.close();
    in_time("the tasks' end", bench.tracker.wait()).await;
    assert_eq!(open_descriptors(), before);
    bench.finish().await;
}
