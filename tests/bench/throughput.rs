//! Many turns: how many a second, how many deltas a second, and whose CPU time they take.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use claude_comms_tests::TestServer;
use tokio::task::LocalSet;

use crate::{
    conversation::{Connection, Conversation},
    machine::cpu_ms,
    raw::RawCli,
    samples::{Samples, TurnTimes},
};

/// Conversations of one connection, as many clients would have.
const CONVERSATIONS_PER_CONNECTION: usize = 16;
/// Of `deltas_10000.yaml`.
pub(crate) const DELTAS: f64 = 10_000.0;

/// Whoever can be asked.
trait Asked {
    async fn ask(&mut self) -> TurnTimes;
}

impl Asked for RawCli {
    async fn ask(&mut self) -> TurnTimes {
        self.ask("ping").await
    }
}

impl Asked for Conversation {
    async fn ask(&mut self) -> TurnTimes {
        self.ask("ping").await
    }
}

/// Turns in a span of time.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Turns a second.
    pub(crate) turns: f64,
    /// Times of the turns.
    whole: Samples,
    /// CPU time of a turn, us: the server's, the CLIs', the client's.
    cpu_us: [f64; 3],
}

/// Everybody asks again as soon as answered, for `span`.
async fn drive<A: Asked + 'static>(everybody: Vec<A>, span: Duration, pids: [Vec<u32>; 3]) -> (Rate, Vec<A>) {
    let cpu = || pids.clone().map(|pids| pids.into_iter().map(cpu_ms).sum::<f64>());
    let local = LocalSet::new();
    let begin = Instant::now();
    let before = cpu();
    let end = begin + span;
    let mut asking = Vec::new();
    for mut who in everybody {
        asking.push(local.spawn_local(async move {
            let mut times = Vec::new();
            loop {
                let turn = who.ask().await;
                if Instant::now() > end {
                    return (who, times);
                }
                times.push(turn.whole);
            }
        }));
    }
    let (mut whole, mut count, mut back) = (Samples::default(), 0, Vec::new());
    local
        .run_until(async {
            for task in asking {
                let (who, times) = task.await.expect("an asker");
                count += times.len();
                times.into_iter().for_each(|time| whole.push(time));
                back.push(who);
            }
        })
        .await;
    let count = count as f64;
    let mut cpu_us = cpu();
    for (used, before) in cpu_us.iter_mut().zip(before) {
        *used = (*used - before) * 1e3 / count;
    }
    (Rate { turns: count / span.as_secs_f64(), whole, cpu_us }, back)
}

/// Turns a second with `count` conversations: of the server over its Unix socket, and of as many bare pipes.
pub(crate) async fn turns(server: &TestServer, count: usize, span: Duration) -> (Rate, Rate) {
    let us = std::process::id();
    let mut conversations = Vec::new();
    let mut connection = Connection::open(server.unix(), None).await;
    for index in 0..count {
        if index > 0 && index % CONVERSATIONS_PER_CONNECTION == 0 {
            connection = Connection::open(server.unix(), None).await;
        }
        let mut conversation = connection.converse(None).await;
        conversation.ask("ping").await;
        conversations.push(conversation);
    }
    let claudes = server.processes().claudes();
    let pids = [vec![server.pid()], claudes.iter().map(|claude| claude.pid).collect(), vec![us]];
    let (_, conversations) = drive(conversations, span / 5, pids.clone()).await;
    let (served, conversations) = drive(conversations, span, pids).await;
    drop(conversations);

    let mut pipes = Vec::new();
    for _ in 0..count {
        let mut raw = RawCli::like(&claudes[0], None).await;
        raw.ask("ping").await;
        pipes.push(raw);
    }
    let pids = [Vec::new(), pipes.iter().map(RawCli::pid).collect(), vec![us]];
    let (_, pipes) = drive(pipes, span / 5, pids.clone()).await;
    let (bare, pipes) = drive(pipes, span, pids).await;
    for pipe in pipes {
        pipe.stop().await;
    }
    (served, bare)
}

/// The head of a table of rates.
pub(crate) fn print_head() {
    println!("| | turns/s | turn, ms p50 (p99) | CPU us a turn: server | CLIs | client |");
    println!("|---|---|---|---|---|---|");
}

impl Rate {
    pub(crate) fn print(&self, name: &str) {
        let [server, claudes, client] = self.cpu_us;
        println!(
            "| {name} | {:.0} | {} | {server:.0} | {claudes:.0} | {client:.0} |",
            self.turns, self.whole
        );
    }
}

/// Long answers, one write a delta.
#[derive(Debug)]
pub(crate) struct Deltas {
    raw: Samples,
    unix: Samples,
    tcp: Samples,
    /// CPU time of a delta through the server over its Unix socket, us: the server's, the CLI's, the client's.
    cpu_us: [f64; 3],
}

/// Measures on a server whose turns are `deltas_10000.yaml`, in turns.
pub(crate) async fn deltas(server: &TestServer, rounds: usize) -> Deltas {
    let mut unix = Connection::open(server.unix(), None).await.converse(None).await;
    let mut tcp = Connection::open(server.tcp(), Some(&server.token())).await.converse(None).await;
    unix.ask("ping").await;
    let claude = server.processes().claudes().remove(0);
    let pids = Rc::new([server.pid(), claude.pid, std::process::id()]);
    tcp.ask("ping").await;
    let mut raw = RawCli::like(&claude, None).await;
    raw.ask("ping").await;
    let mut all = Deltas {
        raw: Samples::default(),
        unix: Samples::default(),
        tcp: Samples::default(),
        cpu_us: [0.0; 3],
    };
    for round in 0..rounds {
        for place in 0..3 {
            match (round + place) % 3 {
                0 => all.raw.push(raw.ask("ping").await.whole),
                1 => {
                    let before = pids.map(cpu_ms);
                    all.unix.push(unix.ask("ping").await.whole);
                    let after = pids.map(cpu_ms);
                    for (index, used) in all.cpu_us.iter_mut().enumerate() {
                        *used += (after[index] - before[index]) * 1e3 / DELTAS / rounds as f64;
                    }
                }
                _ => all.tcp.push(tcp.ask("ping").await.whole),
            }
        }
    }
    raw.stop().await;
    all
}

impl Deltas {
    /// What part of the bare pipe's rate the slower of Unix and TCP reaches.
    pub(crate) fn ratios(&self) -> [f64; 2] {
        [self.raw.p50() / self.unix.p50(), self.raw.p50() / self.tcp.p50()]
    }

    pub(crate) fn print(&self) {
        println!("| | ms for 10 000 deltas, p50 (p99) | k deltas/s | of the bare pipe |");
        println!("|---|---|---|---|");
        for (name, times) in [("raw pipe", &self.raw), ("Unix socket", &self.unix), ("TCP", &self.tcp)] {
            let ratio = 100.0 * self.raw.p50() / times.p50();
            println!("| {name} | {times} | {:.0} | {ratio:.0} % |", DELTAS / times.p50());
        }
        let [server, claude, client] = self.cpu_us;
        println!("\nCPU us a delta over Unix: server {server:.2}, CLI {claude:.2}, client {client:.2}");
    }
}
