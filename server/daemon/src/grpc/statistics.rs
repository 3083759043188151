//! Figures as the wire has them.

use std::time::SystemTime;

use claude_comms_model::Usage;
use claude_comms_proto::v1;

use super::convert;
use crate::telemetry::{Durations, Snapshot, catalogue as names};

/// What was counted, without what never occurred.
pub(super) fn of(snapshot: &Snapshot, start_time: SystemTime) -> v1::Statistics {
    v1::Statistics {
        start_time: Some(convert::timestamp(start_time.into())),
        time: Some(convert::timestamp(SystemTime::now().into())),
        turns: Some(turns(snapshot)),
        processes: Some(processes(snapshot)),
        store: Some(v1::StoreStatistics {
            commits: snapshot.count(names::STORE_COMMITS, Some(("outcome", "durable"))),
            failed_commits: snapshot.count(names::STORE_COMMITS, Some(("outcome", "failed"))),
            operations: snapshot.count(names::STORE_OPERATIONS, None),
            commit: Some(durations(&snapshot.durations(names::STORE_COMMIT))),
        }),
        refusals: occurred(snapshot, names::REFUSALS, |label, count| v1::RefusalCount {
            code: label("code"),
            reason: label("reason"),
            count,
        }),
        access_refusals: occurred(snapshot, names::SENT_AWAY, |label, count| v1::AccessRefusalCount {
            reason: label("reason"),
            count,
        }),
        rpcs: occurred(snapshot, names::RPCS, |label, count| v1::RpcCount { method: label("method"), count }),
        queued_turns: snapshot.count(names::TURNS_NOW, Some(("state", "QUEUED"))),
        running_turns: snapshot.count(names::TURNS_NOW, Some(("state", "RUNNING"))),
        instances: occurred(snapshot, names::INSTANCES, |label, count| v1::InstanceStateCount {
            state: v1::InstanceState::from_str_name(&format!("INSTANCE_STATE_{}", label("state")))
                .unwrap_or_default()
                .into(),
            count,
        }),
        watchers: occurred(snapshot, names::WATCHERS, |label, count| v1::WatcherCount {
            kind: label("kind"),
            count,
        }),
    }
}

fn turns(snapshot: &Snapshot) -> v1::TurnStatistics {
    let tokens = |kind| snapshot.count(names::TOKENS, Some(("kind", kind)));
    v1::TurnStatistics {
        accepted: snapshot.count(names::TURNS_ACCEPTED, None),
        ended: occurred(snapshot, names::TURNS, |label, count| v1::TurnEndCount {
            state: turn_state(&label("state")).into(),
            reason: label("reason"),
            count,
        }),
        pairs: occurred(snapshot, names::PAIR_TURNS, |label, count| v1::ModulePairCount {
            source_module: label("source"),
            target_module: label("target"),
            state: turn_state(&label("state")).into(),
            count,
        }),
        usage: Some(convert::usage(Usage {
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            cache_creation_input_tokens: tokens("cache_creation"),
            cache_read_input_tokens: tokens("cache_read"),
        })),
        cost_usd: snapshot.value(names::COST, None),
        process_retries: snapshot.count(names::RETRIES, Some(("scope", "process"))),
        api_retries: snapshot.count(names::RETRIES, Some(("scope", "api"))),
        repairs: snapshot.count(names::REPAIRS, None),
        queue: Some(durations(&snapshot.durations(names::TURN_QUEUE))),
        first_token: Some(durations(&snapshot.durations(names::TURN_FIRST_TOKEN))),
        total: Some(durations(&snapshot.durations(names::TURN_DURATION))),
    }
}

fn processes(snapshot: &Snapshot) -> v1::ProcessStatistics {
    let starts = |outcome| snapshot.count(names::PROCESS_STARTS, Some(("outcome", outcome)));
    v1::ProcessStatistics {
        started: starts("started"),
        failed: starts("failed"),
        abandoned: starts("abandoned"),
        start: Some(durations(&snapshot.durations(names::PROCESS_START))),
        exits: occurred(snapshot, names::PROCESS_EXITS, |label, count| v1::ProcessExitCount {
            cause: label("cause"),
            count,
        }),
    }
}

/// The values of a figure that are not 0.
fn occurred<T>(snapshot: &Snapshot, name: &str, make: impl Fn(&dyn Fn(&str) -> String, u64) -> T) -> Vec<T> {
    let rows = snapshot.rows(name);
    rows.iter()
        .filter(|row| row.count() > 0)
        .map(|row| make(&|label| row.label(label).to_owned(), row.count()))
        .collect()
}

fn turn_state(name: &str) -> v1::TurnState {
    v1::TurnState::from_str_name(&format!("TURN_STATE_{name}")).unwrap_or_default()
}

fn durations(durations: &Durations) -> v1::DurationStatistics {
    let wire = |span| prost_types::Duration::try_from(span).ok();
    let quantile = |share| durations.quantile(share).and_then(wire);
    v1::DurationStatistics {
        count: durations.count,
        sum: wire(durations.sum),
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
    }
}
