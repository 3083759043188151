//! Turn by turn: raw, Unix, TCP, in every round and in turning order, so that whatever drifts hits all alike.

use std::time::Duration;

use claude_comms_tests::TestServer;

use crate::{
    commit::Commits,
    conversation::Connection,
    raw::RawCli,
    samples::{Samples, Turns},
};

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) rounds: usize,
    pub(crate) warm_up: usize,
    pub(crate) prompt: &'a str,
    pub(crate) system_prompt: Option<&'a str>,
    /// Before each turn: a CLI still works when it has answered, and would be in the way of the next one's turn.
    pub(crate) pause: Duration,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    pub(crate) raw: Turns,
    pub(crate) unix: Turns,
    pub(crate) tcp: Turns,
    pub(crate) ping_unix: Samples,
    pub(crate) ping_tcp: Samples,
    /// Each of a turn's two commits, by itself.
    pub(crate) commit: Samples,
    /// Median of 4 KiB and fdatasync, ms.
    pub(crate) disk_floor: f64,
    /// Turns that were told to wait.
    pub(crate) waited: usize,
}

/// Measures on a server that listens on a Unix socket and on TCP.
pub(crate) async fn measure(server: &TestServer, plan: Plan<'_>) -> Latency {
    let mut over_unix = Connection::open(server.unix(), None).await;
    let mut over_tcp = Connection::open(server.tcp(), Some(&server.token())).await;
    let mut unix = over_unix.converse(plan.system_prompt).await;
    let mut tcp = over_tcp.converse(plan.system_prompt).await;
    unix.ask(plan.prompt).await;
    tcp.ask(plan.prompt).await;
    let mut raw = RawCli::like(&server.processes().claudes()[0], plan.system_prompt).await;
    raw.ask(plan.prompt).await;
    let commits = Commits::open().await;
    let mut all = Latency { disk_floor: commits.floor().as_secs_f64() * 1e3, ..Latency::default() };
    for round in 0..plan.warm_up + plan.rounds {
        let measured = round >= plan.warm_up;
        for place in 0..3 {
            if !plan.pause.is_zero() {
                tokio::time::sleep(plan.pause).await;
            }
            let (turns, turn) = match (round + place) % 3 {
                0 => (&mut all.raw, raw.ask(plan.prompt).await),
                1 => (&mut all.unix, unix.ask(plan.prompt).await),
                _ => (&mut all.tcp, tcp.ask(plan.prompt).await),
            };
            if measured {
                turns.push(turn);
            }
        }
        let (ping_unix, ping_tcp) = (over_unix.ping().await, over_tcp.ping().await);
        let pair = commits.turn().await;
        if measured {
            all.ping_unix.push(ping_unix);
            all.ping_tcp.push(ping_tcp);
            pair.into_iter().for_each(|commit| all.commit.push(commit));
        }
    }
    all.waited = unix.waited + tcp.waited;
    commits.close().await;
    raw.stop().await;
    all
}

impl Latency {
    /// Adds what was measured on other processes.
    pub(crate) fn add(&mut self, other: Self) {
        self.raw.add(other.raw);
        self.unix.add(other.unix);
        self.tcp.add(other.tcp);
        self.ping_unix.add(other.ping_unix);
        self.ping_tcp.add(other.ping_tcp);
        self.commit.add(other.commit);
        self.disk_floor = other.disk_floor;
        self.waited += other.waited;
    }

    /// The table of it.
    pub(crate) fn print(&self) {
        println!("| ms, p50 (p99) | first token | full turn | full turn / raw |");
        println!("|---|---|---|---|");
        for (name, turns) in [("raw pipe", &self.raw), ("Unix socket", &self.unix), ("TCP", &self.tcp)] {
            let ratio = turns.whole.p50() / self.raw.whole.p50();
            println!("| {name} | {} | {} | {ratio:.3} |", turns.first_token, turns.whole);
        }
        println!();
        println!("one durable commit {} ms; 4 KiB + fdatasync {:.3} ms; ", self.commit, self.disk_floor);
        println!(
            "shortest RPC: Unix {}, TCP {} ms; turns told to wait: {}",
            self.ping_unix, self.ping_tcp, self.waited
        );
    }
}
