//! The counters. Cheap to clone, and to count in: atomics, no lock is held while anything waits.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use claude_comms_model::{CancelReason, FailureReason, InstanceState, ModuleRef, TurnStateKind, Usage};
use claude_comms_supervisor::ExitCause;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, core::Collector,
};

use super::{
    budgets::BudgetGauges,
    catalogue::{self as names, described},
    process::OwnProcess,
};
use crate::{auth::Refusal, pool::Recycle};

/// Upper bounds of turns and starts of processes, seconds: from a simulated one to the longest that is usual.
const SPANS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0,
    300.0, 600.0, 1800.0,
];
/// Upper bounds of commits, seconds.
const COMMITS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Pairs of modules that are counted by name.
const PAIRS: usize = 100;
/// In place of a name that is not counted for itself; no module and no method is called so.
pub(super) const OTHER: &str = "_other";

/// All that is counted, from the server's start on.
#[derive(Debug, Clone)]
pub struct Figures(Arc<Counters>);

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) registry: Registry,
    pub(super) start_time: SystemTime,
    pub(super) accepted: IntCounter,
    pub(super) turns: IntCounterVec,
    pub(super) pairs: IntCounterVec,
    known_pairs: Mutex<HashSet<(String, String)>>,
    pub(super) tokens: IntCounterVec,
    pub(super) cost: Counter,
    pub(super) queue: Histogram,
    pub(super) first_token: Histogram,
    pub(super) duration: Histogram,
    pub(super) retries: IntCounterVec,
    pub(super) retries_refused: IntCounter,
    repairs: IntCounter,
    process_starts: IntCounterVec,
    process_start: Histogram,
    process_exits: IntCounterVec,
    spares: IntCounterVec,
    recycled: IntCounterVec,
    pub(super) rpcs: IntCounterVec,
    pub(super) refusals: IntCounterVec,
    sent_away: IntCounterVec,
    commits: IntCounterVec,
    operations: IntCounter,
    commit: Histogram,
    watchers: IntGaugeVec,
    pub(super) turns_now: IntGaugeVec,
    pub(super) instances: IntGaugeVec,
    evictions: IntCounterVec,
    pub(super) memory_free: Gauge,
    pub(super) memory_reserve: Gauge,
    pub(super) memory_short: IntGauge,
    pub(super) draining: IntGauge,
    pub(super) starts_held: IntGauge,
    pub(super) account_limited: IntGauge,
    queue_limit: IntGauge,
    pub(super) pair_instances: IntGaugeVec,
    pub(super) pair_turns_now: IntGaugeVec,
    instance_limit: IntGauge,
    pub(super) stored_conversations: Gauge,
    pub(super) stored_turns: Gauge,
    pub(super) process: OwnProcess,
    pub(super) budgets: BudgetGauges,
}

/// Makes and registers figures as the catalogue has them.
struct Making<'a>(&'a Registry);

impl Making<'_> {
    fn keep<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("the catalogue's names and labels are good");
        self.0.register(Box::new(made.clone())).expect("the catalogue names each figure once");
        made
    }

    fn opts(name: &str) -> Opts {
        Opts::new(name, described(name).help)
    }

    fn counter(&self, name: &str) -> IntCounter {
        self.keep(IntCounter::with_opts(Self::opts(name)))
    }

    /// With the values of its labels that are known: a counter that is 0 is seen to be 0.
    fn counters(&self, name: &str, known: &[&[&str]]) -> IntCounterVec {
        let made = self.keep(IntCounterVec::new(Self::opts(name), described(name).labels));
        for values in known {
            made.with_label_values(values);
        }
        made
    }

    fn gauge(&self, name: &str) -> IntGauge {
        self.keep(IntGauge::with_opts(Self::opts(name)))
    }

    fn real(&self, name: &str) -> Gauge {
        self.keep(Gauge::with_opts(Self::opts(name)))
    }

    fn reals(&self, name: &str) -> GaugeVec {
        self.keep(GaugeVec::new(Self::opts(name), described(name).labels))
    }

    fn gauges(&self, name: &str, known: &[&str]) -> IntGaugeVec {
        let made = self.keep(IntGaugeVec::new(Self::opts(name), described(name).labels));
        for value in known {
            made.with_label_values(&[value]);
        }
        made
    }

    fn histogram(&self, name: &str, bounds: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, described(name).help).buckets(bounds.to_vec());
        self.keep(Histogram::with_opts(opts))
    }
}

impl Figures {
    /// All at zero.
    pub fn new(max_queue: usize, max_instances: usize) -> Self {
        let registry = Registry::new();
        let make = Making(&registry);
        let ends = ends();
        let ends: Vec<&[&str]> = ends.iter().map(<[&str; 2]>::as_slice).collect();
        let reasons = Refusal::ALL.map(|why| [why.as_str()]);
        let reasons: Vec<&[&str]> = reasons.iter().map(<[&str; 1]>::as_slice).collect();
        make.gauges(names::BUILD, &[env!("CARGO_PKG_VERSION")])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let counters = Counters {
            start_time: SystemTime::now(),
            accepted: make.counter(names::TURNS_ACCEPTED),
            turns: make.counters(names::TURNS, &ends),
            pairs: make.counters(names::PAIR_TURNS, &[]),
            known_pairs: Mutex::default(),
            tokens: make
                .counters(names::TOKENS, &[&["input"], &["output"], &["cache_creation"], &["cache_read"]]),
            cost: make.keep(Counter::with_opts(Making::opts(names::COST))),
            queue: make.histogram(names::TURN_QUEUE, SPANS),
            first_token: make.histogram(names::TURN_FIRST_TOKEN, SPANS),
            duration: make.histogram(names::TURN_DURATION, SPANS),
            retries: make.counters(names::RETRIES, &[&["process"], &["turn"], &["api"]]),
            retries_refused: make.counter(names::RETRIES_REFUSED),
            repairs: make.counter(names::REPAIRS),
            process_starts: make
                .counters(names::PROCESS_STARTS, &[&["started"], &["failed"], &["abandoned"]]),
            spares: make.counters(names::SPARES, &[&["used"], &["missed"], &["unclaimed"], &["died"]]),
            process_start: make.histogram(names::PROCESS_START, SPANS),
            process_exits: make.counters(
                names::PROCESS_EXITS,
                &[&["stopped"], &["crashed"], &["killed"], &["protocol"], &["stalled"]],
            ),
            recycled: make.counters(names::RECYCLED, &Recycle::LABELS),
            rpcs: make.counters(names::RPCS, &[]),
            refusals: make.counters(names::REFUSALS, &[]),
            sent_away: make.counters(names::SENT_AWAY, &reasons),
            commits: make.counters(names::STORE_COMMITS, &[&["durable"], &["failed"]]),
            operations: make.counter(names::STORE_OPERATIONS),
            commit: make.histogram(names::STORE_COMMIT, COMMITS),
            watchers: make.gauges(names::WATCHERS, &["turn"]),
            turns_now: make.gauges(names::TURNS_NOW, &["QUEUED", "RUNNING"]),
            instances: make.gauges(names::INSTANCES, &INSTANCE_STATES.map(InstanceState::as_str)),
            evictions: make.counters(names::EVICTIONS, &[&["room"], &["idle"], &["memory"]]),
            memory_free: make.real(names::MEMORY_FREE),
            memory_reserve: make.real(names::MEMORY_RESERVE),
            memory_short: make.gauge(names::MEMORY_SHORT),
            draining: make.gauge(names::DRAINING),
            starts_held: make.gauge(names::STARTS_HELD),
            account_limited: make.gauge(names::ACCOUNT_LIMITED),
            queue_limit: make.gauge(names::QUEUE_LIMIT),
            pair_instances: make.gauges(names::PAIR_INSTANCES, &[]),
            pair_turns_now: make.gauges(names::PAIR_TURNS_NOW, &[]),
            instance_limit: make.gauge(names::INSTANCE_LIMIT),
            stored_conversations: make.real(names::STORED_CONVERSATIONS),
            stored_turns: make.real(names::STORED_TURNS),
            process: OwnProcess {
                cpu_seconds: make.keep(Counter::with_opts(Making::opts(names::PROCESS_CPU))),
                resident_bytes: make.real(names::PROCESS_RESIDENT),
                virtual_bytes: make.real(names::PROCESS_VIRTUAL),
                open_fds: make.real(names::PROCESS_FDS),
                max_fds: make.real(names::PROCESS_MAX_FDS),
                start_time: make.real(names::PROCESS_START_TIME),
                threads: make.real(names::PROCESS_THREADS),
            },
            budgets: BudgetGauges {
                limit: make.reals(names::BUDGET_LIMIT),
                spent: make.reals(names::BUDGET_SPENT),
                reserved: make.reals(names::BUDGET_RESERVED),
            },
            registry,
        };
        let figures = Self(Arc::new(counters));
        figures.limits(max_queue, max_instances);
        figures
    }

    /// The settings' limits, which may change.
    pub fn limits(&self, max_queue: usize, max_instances: usize) {
        self.0.queue_limit.set(signed(max_queue));
        self.0.instance_limit.set(signed(max_instances));
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }

    /// When counting began.
    pub fn start_time(&self) -> SystemTime {
        self.0.start_time
    }

    /// A turn is durable.
    pub fn turn_accepted(&self) {
        self.0.accepted.inc();
    }

    /// The backend repeats a call.
    pub fn call_repeated(&self) {
        self.0.retries.with_label_values(&["api"]).inc();
    }

    /// The pool ends an idle instance by itself.
    pub fn instance_evicted(&self, reason: &str) {
        self.0.evictions.with_label_values(&[reason]).inc();
    }

    /// An answer is asked for once more.
    pub fn answer_repaired(&self) {
        self.0.repairs.inc();
    }

    /// A process is being started; what became of it is told to the guard.
    pub fn process_starts(&self) -> StartOfProcess {
        StartOfProcess { figures: self.clone(), begin: Instant::now(), outcome: "abandoned" }
    }

    /// A process was started that takes messages once somebody claims it.
    pub fn process_parked(&self, started: bool) {
        let outcome = if started { "started" } else { "failed" };
        self.0.process_starts.with_label_values(&[outcome]).inc();
    }

    /// What became of a spare, or of a turn's wish for one.
    pub(crate) fn spare(&self, outcome: &str) {
        self.0.spares.with_label_values(&[outcome]).inc();
    }

    /// A process ended.
    pub fn process_exited(&self, cause: &ExitCause) {
        self.0.process_exits.with_label_values(&[cause.as_str()]).inc();
    }

    /// A process is replaced between turns.
    pub fn process_recycled(&self, reason: &str) {
        self.0.recycled.with_label_values(&[reason]).inc();
    }

    /// A commit of the store is over.
    pub fn committed(&self, operations: usize, took: Duration, durable: bool) {
        let outcome = if durable { "durable" } else { "failed" };
        self.0.commits.with_label_values(&[outcome]).inc();
        self.0.operations.inc_by(operations as u64);
        self.0.commit.observe(took.as_secs_f64());
    }

    /// Turns that ended in a state since the start, those included that the start ended.
    pub fn ended(&self, state: TurnStateKind) -> u64 {
        let of_state = ends().into_iter().filter(|[name, _]| *name == state.as_str());
        of_state.map(|end| self.0.turns.with_label_values(&end).get()).sum()
    }

    /// Somebody was sent away before a service had the call, or from the midst of one.
    pub(crate) fn sent_away(&self, why: Refusal) {
        self.0.sent_away.with_label_values(&[why.as_str()]).inc();
    }

    /// How many were sent away so.
    #[cfg(test)]
    pub(crate) fn were_sent_away(&self, why: Refusal) -> u64 {
        self.0.sent_away.with_label_values(&[why.as_str()]).get()
    }

    /// A stream is open as long as the guard lives.
    pub fn watches(&self, kind: &str) -> Watching {
        let open = self.0.watchers.with_label_values(&[kind]);
        open.inc();
        Watching(open)
    }

    pub(super) fn tokens(&self, usage: Usage, cost_usd: f64) {
        let counted = [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_creation", usage.cache_creation_input_tokens),
            ("cache_read", usage.cache_read_input_tokens),
        ];
        for (kind, tokens) in counted {
            self.0.tokens.with_label_values(&[kind]).inc_by(tokens);
        }
        // A counter never goes back, whatever a backend reports.
        if cost_usd > 0.0 {
            self.0.cost.inc_by(cost_usd);
        }
    }

    /// Counts a pair's turn, for itself as long as there are not too many pairs.
    pub(super) fn pair(&self, source: &str, target: &str, state: &str) {
        let mut known = self.0.known_pairs.lock().expect("no code panics while it holds the pairs");
        let pair = (source.to_owned(), target.to_owned());
        let counted = known.contains(&pair) || (known.len() < PAIRS && known.insert(pair));
        drop(known);
        let (source, target) = if counted { (source, target) } else { (OTHER, OTHER) };
        self.0.pairs.with_label_values(&[source, target, state]).inc();
    }
}

/// A process on its way up.
#[derive(Debug)]
pub struct StartOfProcess {
    figures: Figures,
    begin: Instant,
    outcome: &'static str,
}

impl StartOfProcess {
    /// It takes messages, or it will not.
    pub fn is<T, E>(mut self, started: &Result<T, E>) {
        self.outcome = if started.is_ok() { "started" } else { "failed" };
    }
}

impl Drop for StartOfProcess {
    fn drop(&mut self) {
        let counters = &self.figures.0;
        counters.process_starts.with_label_values(&[self.outcome]).inc();
        if self.outcome == "started" {
            counters.process_start.observe(self.begin.elapsed().as_secs_f64());
        }
    }
}

/// An open stream.
#[derive(Debug)]
pub struct Watching(IntGauge);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// States of instances that hold a slot.
pub(super) const INSTANCE_STATES: [InstanceState; 6] = [
    InstanceState::Starting,
    InstanceState::Idle,
    InstanceState::Busy,
    InstanceState::Paused,
    InstanceState::Dormant,
    InstanceState::Stopping,
];

/// Every end a turn can have.
fn ends() -> Vec<[&'static str; 2]> {
    let failed = FailureReason::ALL.iter().map(|reason| [TurnStateKind::Failed.as_str(), reason.as_str()]);
    let cancelled =
        CancelReason::ALL.iter().map(|reason| [TurnStateKind::Cancelled.as_str(), reason.as_str()]);
    std::iter::once([TurnStateKind::Completed.as_str(), ""]).chain(failed).chain(cancelled).collect()
}

/// A module's name; empty for none.
pub(super) fn name_of(module: Option<&ModuleRef>) -> &str {
    module.map_or("", |module| &module.name)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
