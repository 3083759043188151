//! The storm: one noisy module and three quiet ones ask, and one fault follows the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use claude_comms_tests::{
    PATIENCE, TestServer, eventually,
    processes::{descriptors, resident_bytes, zombies_of},
    report,
    seed::Seed,
    tools::scale,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{accounts::Accounts, askers::Asker, clock::Clock, disk::Disk, harm::Harm, slope::Slope};
use crate::simulated::{
    modules::support::{descriptor, register},
    support::{children, completed, scenario},
};

const NOISY: usize = 6;
const QUIET: [&str; 3] = ["quiet_a", "quiet_b", "quiet_c"];
/// Memory that may come in the last quarter: long answers are held while they are read, and the allocator keeps some. The
/// soak holds memory to more.
const ROOM_BYTES: u64 = 96 << 20;

/// The pool of the storm, without spares: the end is compared with the beginning.
pub(crate) fn configuration(pool: &str) -> String {
    format!("pool: {{ warm_spares: 0, {pool} }}\n")
}

/// Waits until the server has no process but itself.
pub(crate) async fn quiet(server: &TestServer) {
    eventually(PATIENCE, "idle processes go, and are waited for", async || {
        (children(server).is_empty() && zombies_of(server.pid()).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_faults_leaves_each_turn_one_end_and_nothing_else() {
    let seed = Seed::new().announced("storm");
    let span = Duration::from_secs(scale(60, 600));
    let mut builder = TestServer::simulated().scenario(&scenario("storm")).configuration(configuration(
        "max_instances: 6, turn_timeout: 3s, idle_timeout: 500ms, drain_timeout: 1s, max_queue: 64",
    ));
    let clock = Clock::new(builder.world()).await;
    for (name, value) in clock.as_ref().into_iter().flat_map(Clock::environment) {
        builder = builder.environment(name, value);
    }
    let disk = Disk::mount(&builder.world().data_dir(), 256).await;
    for (what, why) in [("clock jumps", clock.as_ref().err()), ("full disks", disk.as_ref().err())] {
        if let Some(why) = why {
            report::skipped(&format!("{what} in the storm"), why);
        }
    }
    // The disk is unmounted before the server's world is removed.
    let (mut server, disk) = (builder.start().await, disk.ok());

    let client = server.client().await;
    for name in ["desk", "noisy"].iter().chain(&QUIET) {
        register(&client, &descriptor(name, "1.0.0", json!({}))).await;
    }
    completed(client.ask(&client.new_conversation().await, "before the storm").await.turn());
    quiet(&server).await;
    let before = descriptors(server.pid());

    let (accounts, stop) = (Accounts::new(), Arc::new(AtomicBool::new(false)));
    let mut askers = JoinSet::new();
    for (number, source) in std::iter::repeat_n("noisy", NOISY).chain(QUIET).enumerate() {
        let asker = Asker {
            client: client.clone(),
            accounts: accounts.clone(),
            source: source.to_owned(),
            wild: source == "noisy",
            stop: Arc::clone(&stop),
            dice: seed.dice(1 + number as u64),
            conversations: Vec::new(),
            held: Vec::new(),
        };
        askers.spawn(asker.ask_until_stopped());
    }
    drop(client);

    let begin = Instant::now();
    let mut harm = Harm {
        server: &mut server,
        accounts: accounts.clone(),
        dice: seed.dice(0),
        disk: disk.as_ref(),
        clock: clock.as_ref().ok(),
        stopped: Vec::new(),
        done: Default::default(),
    };
    let mut slope = Slope::default();
    while begin.elapsed() < span {
        assert!(askers.try_join_next().is_none_or(|asker| asker.is_err_and(|why| panic!("{why}"))));
        // In the last quarter the server lives on, so that its memory tells something.
        let last = begin.elapsed() > span * 3 / 4;
        harm.next(!last).await;
        let more = 1 + harm.dice.below(40);
        accounts.more(more, Duration::from_secs(2)).await;
        if last {
            slope.push(accounts.count(), resident_bytes(harm.server.pid()));
        }
    }
    harm.mend();
    let done = std::mem::take(&mut harm.done);
    if let Ok(clock) = &clock {
        clock.set(0);
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(asker) = askers.join_next().await {
        asker.unwrap();
    }

    let client = server.client().await;
    // Turns of clients that left may still be on their way.
    eventually(PATIENCE, "every turn ends", async || {
        crate::simulated::turns(&client, "").await.iter().all(|turn| turn.end_time.is_some()).then_some(())
    })
    .await;
    let all = accounts.check(&client).await;
    report::say(&format!(
        "storm, {} s: {} turns\n{}faults: {done:?}\nmemory: {:+.1} KB a turn over the last {} samples",
        span.as_secs(),
        all.len(),
        accounts.tables(&all, span),
        slope.bytes_a_turn() / 1e3,
        slope.samples(),
    ));
    for source in QUIET.iter().chain(&["noisy"]) {
        assert!(accounts.ended_of(source) > 20, "{source} was served");
    }
    assert!(accounts.faults().is_empty(), "the server blamed itself: {:?}", accounts.faults());
    assert!(slope.grown() < ROOM_BYTES, "{slope:?}");
    quiet(&server).await;
    eventually(PATIENCE, &format!("{before} descriptors, as before the storm"), async || {
        (descriptors(server.pid()) <= before).then_some(())
    })
    .await;
    completed(client.ask(&client.new_conversation().await, "after the storm").await.turn());

    let ran = server.terminate().await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("tasks were still running"), "{}", ran.stderr);
    server.processes().await_gone().await;
    server.restart().await;
    let mut again = accounts.check(&server.client().await).await;
    again.retain(|id, _| all.contains_key(id));
    assert!(again == all, "what is kept is what was told");
    drop(disk);
}
