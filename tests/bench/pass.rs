//! One pass over everything, on the cores it was given.

use std::time::Duration;

use claude_comms_tests::{TestServer, processes::resident_bytes, tools};

use crate::{
    aims::{self, Aim},
    eight,
    latency::{self, Plan},
    machine::Placement,
    modules,
    options::Options,
    real, starts, throughput,
};

/// Two processes of the real CLI with the same flags differ by some percent for all their life.
const SETS_OF_PROCESSES: usize = 6;
const ROUNDS_OF_A_SET: usize = 25;
const EIGHT_ROUNDS: usize = 3;
/// Each takes some ten seconds.
const STARTS: usize = 20;
const CONFIGURATION: &str = "pool: { max_instances: 96 }\n";

async fn server(scenario: &str) -> TestServer {
    let file = tools::repository().join("tests/scenarios").join(scenario);
    TestServer::simulated().tcp().scenario(&file).configuration(CONFIGURATION).start().await
}

fn mebibytes(server: &TestServer) -> f64 {
    resident_bytes(server.pid()) as f64 / f64::from(1 << 20)
}

/// Measures, prints, and returns the aims.
pub(crate) async fn run(options: &Options, placement: Placement) -> Vec<Aim> {
    let mut aims = Vec::new();
    if options.wants("latency") {
        println!("\n### Simulated CLI, one turn after the other (echo_fast)\n");
        let server = server("echo_fast.yaml").await;
        let plan = Plan {
            rounds: options.rounds(2000),
            warm_up: 100,
            prompt: "ping",
            system_prompt: None,
            pause: Duration::ZERO,
        };
        let measured = latency::measure(&server, plan).await;
        measured.print();
        aims.extend(aims::simulated(placement, &measured));
    }
    if options.wants("throughput") {
        println!("\n### Simulated CLI, many conversations, Unix socket (echo_fast)\n");
        let server = server("echo_fast.yaml").await;
        let mut memory = vec![("idle".to_owned(), mebibytes(&server))];
        throughput::print_head();
        let mut turns = 0.0;
        for count in [1, 8, 64] {
            let span = Duration::from_millis(options.rounds(5000) as u64);
            let (served, bare) = throughput::turns(&server, count, span).await;
            served.print(&format!("server, {count}"));
            bare.print(&format!("bare pipes, {count}"));
            turns += served.turns * span.as_secs_f64() * 1.2;
            memory.push((format!("{count} conversations, {turns:.0} turns in all"), mebibytes(&server)));
            if count == 64 {
                aims.push(aims::turns(placement, served.turns));
            }
        }
        println!("\nmemory of the server (RSS, MiB):");
        for (when, mebibytes) in memory {
            println!("- {when}: {mebibytes:.1}");
        }
    }
    if options.wants("deltas") {
        println!("\n### Simulated CLI, 10 000 deltas with a write(2) each (deltas_10000)\n");
        let server = server("deltas_10000.yaml").await;
        let measured = throughput::deltas(&server, options.rounds(60)).await;
        measured.print();
        aims.extend(aims::deltas(placement, &measured));
    }
    if options.wants("real") {
        println!("\n### Real CLI, warm turns of 8 deltas, stand-in API\n");
        match real::missing() {
            Some(why) => println!("SKIPPED: the real CLI, {why}"),
            None => {
                let measured = real::measure(options.rounds(SETS_OF_PROCESSES), ROUNDS_OF_A_SET).await;
                measured.print();
                aims.extend(aims::real(placement, &measured));
            }
        }
    }
    if options.wants("eight") {
        println!("\n### Real CLI, {} at once, turns of 8 deltas, stand-in API\n", eight::INSTANCES);
        match real::missing() {
            Some(why) => println!("SKIPPED: eight real CLIs, {why}"),
            None => aims.push(aims::eight(placement, &eight::measure(options.rounds(EIGHT_ROUNDS)).await)),
        }
    }
    if options.wants("starts") {
        println!("\n### Real CLI, the first turn on a spare, a new and a resumed process, stand-in API\n");
        match real::missing() {
            Some(why) => println!("SKIPPED: the real CLI, {why}"),
            None => {
                let measured = starts::measure(options.rounds(STARTS)).await;
                measured.print();
                aims.push(aims::spare(placement, measured.spare_ratio()));
            }
        }
    }
    if options.wants("modules") {
        println!("\n### Modules: 10 000 in a directory and 100 registered, Unix socket\n");
        aims.extend(modules::run(options, placement).await);
    }
    aims
}
