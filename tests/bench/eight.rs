//! Eight real CLIs at once: turns a second through the server against as many bare drivers, in alternating spans of one run.

use std::time::Duration;

use claude_comms_tests::{Reply, TestServer};

use crate::{real, throughput};

/// Instances, and bare drivers.
pub(crate) const INSTANCES: usize = 8;
/// Deltas of an answer.
const ANSWER_DELTAS: usize = 8;
const SPAN: Duration = Duration::from_secs(10);

/// Turns a second of each round.
#[derive(Debug, Default)]
pub(crate) struct Eight {
    served: Vec<f64>,
    bare: Vec<f64>,
}

impl Eight {
    /// What part of the bare drivers' rate the server reaches: the middle of the rounds.
    pub(crate) fn ratio(&self) -> f64 {
        let mut ratios: Vec<f64> =
            self.served.iter().zip(&self.bare).map(|(served, bare)| served / bare).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Measures so many rounds, each on processes of its own.
pub(crate) async fn measure(rounds: usize) -> Eight {
    let mut all = Eight::default();
    throughput::print_head();
    for round in 1..=rounds {
        let (api, stop, thread) = real::stand_in().await;
        api.otherwise(Reply::tokens(ANSWER_DELTAS));
        let server = TestServer::claude(&api)
            .configuration(format!("pool: {{ max_instances: {INSTANCES} }}\n"))
            .start()
            .await;
        let (served, bare) = throughput::turns(&server, INSTANCES, SPAN).await;
        served.print(&format!("server, round {round}"));
        bare.print(&format!("bare drivers, round {round}"));
        all.served.push(served.turns);
        all.bare.push(bare.turns);
        drop((server, api));
        drop(stop);
        thread.join().expect("the stand-in ends");
    }
    all
}
