//! What is aimed at, and whether it was reached.

use std::fmt;

use crate::{eight::Eight, latency::Latency, machine::Placement, samples::Samples, throughput::Deltas};

/// Added to the first token: one commit and this, ms.
const FIRST_TOKEN_EXTRA_MS: f64 = 0.3;
/// Added to the full turn: two commits and this, ms.
const FULL_TURN_EXTRA_MS: f64 = 0.6;
const TURNS_PER_SECOND: f64 = 3000.0;
const OF_THE_PIPE: f64 = 0.7;
const OF_A_REAL_TURN: f64 = 1.05;
const OF_EIGHT_DRIVERS: f64 = 0.95;
const OF_A_PARKED_PROCESS: f64 = 1.1;
/// p99 of DiscoverModules with ten thousand modules, ms.
const DISCOVER_MS: f64 = 10.0;
/// p50 of making system prompt and message, ms.
const CONTEXT_MS: f64 = 1.0;

/// One aim.
#[derive(Debug)]
pub(crate) struct Aim {
    what: String,
    placement: Placement,
    limit: f64,
    measured: f64,
    unit: &'static str,
    more_is_better: bool,
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, placement, limit, measured, unit, more_is_better } = self;
        let met = if *more_is_better { measured >= limit } else { measured <= limit };
        let sign = if *more_is_better { ">=" } else { "<=" };
        let by = 100.0 * (measured / limit - 1.0);
        let verdict = if met { "met" } else { "**missed**" };
        let digits = if *limit >= 100.0 { 0 } else { 3 };
        write!(
            f,
            "| {what} | {placement} | {sign} {limit:.digits$}{unit} | {measured:.digits$}{unit} | {verdict}, {by:+.1} % |"
        )
    }
}

/// A new conversation's first token on a spare, against a bare process that waited as long.
pub(crate) fn spare(placement: Placement, ratio: f64) -> Aim {
    Aim {
        what: "first token on a spare, of a bare parked process".to_owned(),
        placement,
        limit: OF_A_PARKED_PROCESS,
        measured: ratio,
        unit: "",
        more_is_better: false,
    }
}

/// The server against the bare pipe, simulated.
pub(crate) fn simulated(placement: Placement, measured: &Latency) -> Vec<Aim> {
    let commit = measured.commit.p50();
    let added = |what, name, limit, with: f64, raw: f64| Aim {
        what: format!("{what} added, {name}"),
        placement,
        limit,
        measured: with - raw,
        unit: " ms",
        more_is_better: false,
    };
    let mut aims = Vec::new();
    for (name, turns) in [("Unix", &measured.unix), ("TCP", &measured.tcp)] {
        let (first, raw) = (turns.first_token.p50(), measured.raw.first_token.p50());
        aims.push(added("first token", name, commit + FIRST_TOKEN_EXTRA_MS, first, raw));
        let (whole, raw) = (turns.whole.p50(), measured.raw.whole.p50());
        aims.push(added("full turn", name, 2.0 * commit + FULL_TURN_EXTRA_MS, whole, raw));
    }
    aims
}

/// Durable turns with 64 conversations.
pub(crate) fn turns(placement: Placement, measured: f64) -> Aim {
    Aim {
        what: "durable turns with 64 conversations".to_owned(),
        placement,
        limit: TURNS_PER_SECOND,
        measured,
        unit: "/s",
        more_is_better: true,
    }
}

/// Deltas against the bare pipe.
pub(crate) fn deltas(placement: Placement, measured: &Deltas) -> Vec<Aim> {
    let aim = |(name, measured)| Aim {
        what: format!("deltas/s of the bare pipe's, {name}"),
        placement,
        limit: OF_THE_PIPE,
        measured,
        unit: "",
        more_is_better: true,
    };
    ["Unix", "TCP"].into_iter().zip(measured.ratios()).map(aim).collect()
}

/// A warm turn of the real CLI.
pub(crate) fn real(placement: Placement, measured: &Latency) -> Vec<Aim> {
    let aim = |(name, whole): (_, f64)| Aim {
        what: format!("real CLI, warm turn / raw, {name}"),
        placement,
        limit: OF_A_REAL_TURN,
        measured: whole / measured.raw.whole.p50(),
        unit: "",
        more_is_better: false,
    };
    [("Unix", measured.unix.whole.p50()), ("TCP", measured.tcp.whole.p50())].into_iter().map(aim).collect()
}

/// Eight real CLIs at once against eight bare drivers.
pub(crate) fn eight(placement: Placement, measured: &Eight) -> Aim {
    Aim {
        what: "turns/s of 8 real CLIs / of 8 bare drivers".to_owned(),
        placement,
        limit: OF_EIGHT_DRIVERS,
        measured: measured.ratio(),
        unit: "",
        more_is_better: true,
    }
}

/// Finding modules among ten thousand.
pub(crate) fn discover(placement: Placement, what: &str, measured: &Samples) -> Aim {
    milliseconds(placement, format!("DiscoverModules p99, {what}"), DISCOVER_MS, measured.at(0.99))
}

/// Making a context.
pub(crate) fn context(placement: Placement, what: &str, measured: &Samples) -> Aim {
    milliseconds(placement, format!("context p50, {what}"), CONTEXT_MS, measured.p50())
}

fn milliseconds(placement: Placement, what: String, limit: f64, measured: f64) -> Aim {
    Aim { what, placement, limit, measured, unit: " ms", more_is_better: false }
}
