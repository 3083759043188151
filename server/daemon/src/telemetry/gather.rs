//! What is looked up when somebody looks: how much waits and runs now, and how much the store holds.

use std::sync::Arc;

use claude_comms_store::Store;

use super::{Figures, Snapshot, figures::INSTANCE_STATES};
use crate::{budget::Budgets, dispatcher::Dispatcher};

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The counters.
    pub figures: Figures,
    /// Who knows turns and instances.
    pub dispatcher: Dispatcher,
    /// Who knows what turns cost.
    pub budgets: Budgets,
    /// Who knows how much there is.
    pub store: Arc<dyn Store>,
}

impl Observed {
    /// Everything as it is now. What cannot be told (the server ends) keeps its last value.
    pub async fn look(&self) -> Snapshot {
        let counters = self.figures.counters();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        if let Ok(load) = self.dispatcher.load().await {
            counters.turns_now.with_label_values(&["QUEUED"]).set(count(load.queued));
            counters.turns_now.with_label_values(&["RUNNING"]).set(count(load.running));
            counters.draining.set(i64::from(load.draining));
            counters.pair_instances.reset();
            counters.pair_turns_now.reset();
            for module in &load.modules {
                let (source, target) = (&*module.pair.source, &*module.pair.target);
                counters.pair_instances.with_label_values(&[source, target]).set(count(module.instances));
                for (state, turns) in [("QUEUED", module.queued), ("RUNNING", module.running)] {
                    counters.pair_turns_now.with_label_values(&[source, target, state]).set(count(turns));
                }
            }
            counters.memory_free.set(load.memory.free.unwrap_or(0) as f64);
            counters.memory_reserve.set(load.memory.reserve as f64);
            counters.memory_short.set(i64::from(load.memory.short));
        }
        if let Ok(instances) = self.dispatcher.instances().await {
            for state in INSTANCE_STATES {
                let there = instances.iter().filter(|instance| instance.state == state).count();
                counters.instances.with_label_values(&[state.as_str()]).set(count(there));
            }
        }
        if let Ok(counts) = self.store.counts().await {
            counters.stored_conversations.set(counts.conversations as f64);
            counters.stored_turns.set(counts.turns as f64);
        }
        counters.budgets.show(&self.budgets.days());
        counters.process.look();
        Snapshot::new(counters.registry.gather())
    }
}
