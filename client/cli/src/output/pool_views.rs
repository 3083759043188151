//! What an operator asks of the pool as a whole.

use claude_comms_client::v1;

use super::{
    Details,
    human::{bytes, printable},
};

/// What an operator asks of the pool, below what the server is.
pub(crate) fn with_pool(details: Details, counts: &v1::PoolCounts) -> Details {
    details
        .fact("instances now", instance_counts(counts))
        .fact("warm spares", spare_counts(counts))
        .fact(
            "turns since start",
            format!(
                "{} completed, {} failed, {} cancelled",
                counts.completed_turns, counts.failed_turns, counts.cancelled_turns
            ),
        )
        .fact("memory", pool_memory(counts))
        .block("modules", &counts.modules.iter().map(module_load).collect::<String>())
        .fact(
            "events dropped",
            if counts.dropped_events == 0 { String::new() } else { counts.dropped_events.to_string() },
        )
}

/// `marker > arangodb: 2 instances, 1 running, 5 queued`; nothing for plain conversations alone.
fn module_load(load: &v1::ModuleLoad) -> String {
    let pair = match (printable(&load.source_module), printable(&load.target_module)) {
        (_, target) if target.is_empty() => "(no module)".to_owned(),
        (source, target) if source.is_empty() => target,
        (source, target) => format!("{source} > {target}"),
    };
    let (instances, running, queued) = (load.instances, load.running_turns, load.queued_turns);
    format!("{pair}: instances {instances}, running {running}, queued {queued}\n")
}

/// What processes take and what is left: `1.2 GiB of processes, 8.0 GiB free`.
fn pool_memory(counts: &v1::PoolCounts) -> String {
    if counts.memory_reserve_bytes == 0 {
        return String::new();
    }
    let short = match counts.memory_short {
        true => ": SHORT, no process is started and idle ones end",
        false => "",
    };
    let (taken, free) = (bytes(counts.memory_bytes), bytes(counts.memory_free_bytes));
    format!("processes {taken}; {free} free, {} kept{short}", bytes(counts.memory_reserve_bytes))
}

/// `1 of 2 ready`, and why there are none; empty where none are wanted.
fn spare_counts(counts: &v1::PoolCounts) -> String {
    match (counts.wanted_spares, counts.spares_off.as_str()) {
        (0, _) => String::new(),
        (wanted, "") => format!("{} of {wanted} ready", counts.spares),
        (_, why) => format!("off: {why}"),
    }
}

/// `1 busy, 2 idle`; empty without instances.
pub(crate) fn instance_counts(counts: &v1::PoolCounts) -> String {
    let counts = [
        (counts.starting, "starting"),
        (counts.busy, "busy"),
        (counts.paused, "paused"),
        (counts.idle, "idle"),
        (counts.dormant, "dormant"),
        (counts.stopping, "stopping"),
    ];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}
