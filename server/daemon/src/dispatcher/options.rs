//! Settings of the dispatcher, and what becomes of them when they change.

use std::time::Duration;

use super::{spares::SpareOptions, task::DispatcherTask};
use crate::{
    config::Config,
    pool::{ProcessLimits, RoomLimits, Warm},
    turn::Retry,
};

/// How long a turn may go on once its instance is being stopped.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Settings of the dispatcher, which may change while it runs.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// Most instances.
    pub max_instances: usize,
    /// How many of whom, and who is kept.
    pub room: RoomLimits,
    /// Most turns that wait.
    pub max_queue: usize,
    /// How long an instance that nobody started may be idle.
    pub idle_timeout: Duration,
    /// How long a process may serve.
    pub process: ProcessLimits,
    /// What is wanted of spares.
    pub spares: SpareOptions,
    /// The model of conversations that name none.
    pub default_model: Option<String>,
    /// Tokens that may be told again of a conversation whose memory is lost.
    pub token_budget: u32,
    /// How often turns may be tried again.
    pub retry: Retry,
    /// How long a process may say nothing while it works.
    pub silence_timeout: Duration,
    /// How long a turn may go on once its instance is being stopped.
    pub stop_grace: Duration,
}

impl Options {
    /// As the settings say.
    pub(super) fn of(config: &Config) -> Self {
        let count = |limit: Option<u64>| limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let room = RoomLimits {
            instances: config.pool.slots(),
            of_module: count(config.pool.module_max_instances),
            of_pair: count(config.pool.pair_max_instances),
            keep_warm: config.pool.keep_warm.iter().filter_map(|text| Warm::parse(text)).collect(),
        };
        Self {
            max_instances: config.pool.slots(),
            room,
            max_queue: config.pool.max_queue,
            idle_timeout: config.pool.idle_timeout,
            process: ProcessLimits {
                memory: config.pool.memory_limit,
                memory_hard: config.pool.memory_hard_limit,
                turns: config.pool.max_turns,
                age: config.pool.max_age,
            },
            spares: SpareOptions {
                count: config.pool.warm_spares,
                max_age: config.pool.spare_max_age,
                stagger: config.pool.start_stagger,
            },
            default_model: config.claude.model.clone(),
            token_budget: config.token_budget,
            retry: Retry {
                max_attempts: config.retry.max_attempts,
                max_delay: config.retry.max_delay,
                budget: config.retry.budget,
            },
            silence_timeout: config.pool.silence_timeout,
            stop_grace: STOP_GRACE,
        }
    }

    /// How often idle instances are looked for.
    pub(super) fn reclaim_period(&self) -> Duration {
        let shortest = self.process.age.map_or(self.idle_timeout, |age| age.min(self.idle_timeout));
        let shortest = if self.spares.count > 0 { shortest.min(self.spares.max_age) } else { shortest };
        (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(30))
    }
}

impl DispatcherTask {
    /// Takes up changed settings. Instances beyond a lower limit end as they become idle.
    pub(super) fn reconfigure(&mut self) {
        self.options = Options::of(&self.changes.borrow_and_update());
        self.pool.set_limits(self.options.room.clone());
        self.lines.moved = true;
        self.hub.monitor().board().set_slots(self.options.max_instances);
        self.figures.limits(self.options.max_queue, self.options.max_instances);
        self.try_spares_again();
    }
}
