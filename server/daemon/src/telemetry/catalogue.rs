//! Every figure there is: its name, what divides it, what it says. docs/metrics.md has the same table, and a test compares.

/// What a figure does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows from the server's start on.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts durations, in seconds, by upper bounds.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What divides it.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// Every figure.
        pub const CATALOGUE: &[Described] = &[
            $(Described { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

catalogue! {
    TURNS_ACCEPTED = Counter "claude_comms_turns_accepted_total" [] "Turns that were accepted.";
    TURNS = Counter "claude_comms_turns_total" ["state", "reason"] "Turns that ended, those included that the start ended.";
    PAIR_TURNS = Counter "claude_comms_pair_turns_total" ["source", "target", "state"] "Turns that ended, by the modules that asked and answered; empty for none, `_other` beyond 100 pairs.";
    TOKENS = Counter "claude_comms_tokens_total" ["kind"] "Tokens of turns that ended.";
    COST = Counter "claude_comms_cost_usd_total" [] "Cost of turns that ended, in US dollars, as the backend reported it.";
    TURN_QUEUE = Histogram "claude_comms_turn_queue_seconds" [] "From a turn's acceptance to its last start on a process.";
    TURN_FIRST_TOKEN = Histogram "claude_comms_turn_first_token_seconds" [] "From a turn's acceptance to its first text.";
    TURN_DURATION = Histogram "claude_comms_turn_duration_seconds" [] "From a turn's acceptance to its end.";
    RETRIES = Counter "claude_comms_retries_total" ["scope"] "Turns given to a new process because theirs was lost (`process`), turns sent again because the API could not take them (`turn`), and calls that the backend repeated (`api`).";
    RETRIES_REFUSED = Counter "claude_comms_retries_refused_total" [] "Turns that were not tried again because the retries of the minute were spent (retry.budget).";
    REPAIRS = Counter "claude_comms_repairs_total" [] "Answers whose data did not fit, and that were asked for once more.";
    PROCESS_STARTS = Counter "claude_comms_process_starts_total" ["outcome"] "Starts of processes: `started`, `failed`, or `abandoned` by who waited.";
    PROCESS_START = Histogram "claude_comms_process_start_seconds" [] "From the start of a process until it took messages.";
    SPARES = Counter "claude_comms_spares_total" ["outcome"] "Warm spares: `used` by a new conversation, `missed` by one that found none, `unclaimed` (its process did not answer, another was started), `died` before anybody used them.";
    PROCESS_EXITS = Counter "claude_comms_process_exits_total" ["cause"] "Processes that ended, by cause.";
    RECYCLED = Counter "claude_comms_processes_recycled_total" ["reason"] "Processes that had served enough and were replaced between turns (`memory_limit`, `max_turns`, `max_age`), or were killed (`memory_hard_limit`).";
    RPCS = Counter "claude_comms_rpcs_total" ["method"] "Calls, by method; `_other` for those that do not exist.";
    REFUSALS = Counter "claude_comms_refusals_total" ["code", "reason"] "Calls that were refused, by gRPC code and reason.";
    SENT_AWAY = Counter "claude_comms_access_refusals_total" ["reason"] "Callers that were sent away, by why, connections without TLS and failed handshakes included; those who made a call are among the refused calls too.";
    STORE_COMMITS = Counter "claude_comms_store_commits_total" ["outcome"] "Commits of the store: `durable` or `failed`.";
    STORE_OPERATIONS = Counter "claude_comms_store_operations_total" [] "Operations in those commits.";
    STORE_COMMIT = Histogram "claude_comms_store_commit_seconds" [] "From the begin of a commit until it was on disk.";
    WATCHERS = Gauge "claude_comms_watchers" ["kind"] "Streams that are open, by what they watch.";
    TURNS_NOW = Gauge "claude_comms_current_turns" ["state"] "Turns that have not ended.";
    STARTS_HELD = Gauge "claude_comms_backend_starts_held" [] "1 while no process is started because too many were lost one after the other.";
    ACCOUNT_LIMITED = Gauge "claude_comms_account_limited" [] "1 while turns wait for the account's limit with the Messages API.";
    QUEUE_LIMIT = Gauge "claude_comms_queue_limit" [] "Turns that may wait (pool.max_queue).";
    INSTANCES = Gauge "claude_comms_instances" ["state"] "Instances that hold a slot, by state.";
    PAIR_INSTANCES = Gauge "claude_comms_pair_instances" ["source", "target"] "Instances, by the modules whose conversation they serve; empty for none, `_other` beyond 100 pairs.";
    PAIR_TURNS_NOW = Gauge "claude_comms_pair_current_turns" ["source", "target", "state"] "Turns that have not ended, by the modules that ask and answer.";
    INSTANCE_LIMIT = Gauge "claude_comms_instance_limit" [] "Instances that may hold one (pool.max_instances).";
    EVICTIONS = Counter "claude_comms_instance_evictions_total" ["reason"] "Idle instances that the pool ended: `room` for another conversation, `idle` for too long, or `memory` that was short.";
    MEMORY_FREE = Gauge "claude_comms_memory_free_bytes" [] "Memory that is left to the machine or to the server's control group, whichever is less.";
    MEMORY_RESERVE = Gauge "claude_comms_memory_reserve_bytes" [] "Memory below which no process is started (pool.memory_reserve).";
    MEMORY_SHORT = Gauge "claude_comms_memory_short" [] "1 while no process is started for lack of memory.";
    DRAINING = Gauge "claude_comms_draining" [] "1 while no new turns are taken.";
    BUDGET_LIMIT = Gauge "claude_comms_budget_limit_usd" ["scope", "name"] "What a day's budget allows, in US dollars: `server_day`, or `module_day` with the module's name, 100 at most.";
    BUDGET_SPENT = Gauge "claude_comms_budget_spent_usd" ["scope", "name"] "What of it turns have cost that ended today (UTC).";
    BUDGET_RESERVED = Gauge "claude_comms_budget_reserved_usd" ["scope", "name"] "What of it is held for running turns.";
    STORED_CONVERSATIONS = Gauge "claude_comms_stored_conversations" [] "Conversations in the store.";
    STORED_TURNS = Gauge "claude_comms_stored_turns" [] "Turns in the store.";
    BUILD = Gauge "claude_comms_build_info" ["version"] "Always 1; the label says which version runs.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "Time that the server's own process has computed, in seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Its resident memory, without its Claude processes.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Its virtual memory.";
    PROCESS_FDS = Gauge "process_open_fds" [] "Its open descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "How many it may open.";
    PROCESS_START_TIME = Gauge "process_start_time_seconds" [] "When it was started, in seconds since 1970.";
    PROCESS_THREADS = Gauge "process_threads" [] "Its threads.";
}

/// The figure of that name.
///
/// # Panics
/// When there is none: names are the constants of this module.
pub(super) fn described(name: &str) -> &'static Described {
    CATALOGUE.iter().find(|described| described.name == name).expect("every constant is in the catalogue")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let documented: Vec<String> = include_str!("../../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `claude_comms_") || line.starts_with("| `process_"))
            .map(str::to_owned)
            .collect();
        let described: Vec<String> = CATALOGUE
            .iter()
            .map(|figure| {
                let labels: Vec<String> = figure.labels.iter().map(|label| format!("`{label}`")).collect();
                format!(
                    "| `{}` | {} | {} | {} |",
                    figure.name,
                    figure.kind.as_str(),
                    labels.join(" "),
                    figure.help
                )
            })
            .collect();
        assert_eq!(documented, described, "{}", described.join("\n"));
    }
}
