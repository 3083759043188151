//! Looks every second at what processes take, while there is a limit beyond which they are killed: between two rounds of
//! the sampler a process may grow a lot. It judges nothing.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Watched;
use crate::{config::Settings, dispatcher::Dispatcher};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// Weighs all processes until `ending`, on `tracker`.
pub(crate) fn weigh_instances(
    tracker: &TaskTracker,
    ending: CancellationToken,
    dispatcher: Dispatcher,
    settings: Settings,
) {
    let rounds = async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(limit) = settings.now().pool.memory_hard_limit else { continue };
            let Ok(watched) = dispatcher.vitals().await else { return };
            for (watched, bytes) in weigh(watched, limit - limit / 4).await {
                dispatcher.weighed(watched.instance, watched.vitals.process_id(), bytes).await;
            }
        }
    };
    tracker.spawn(async move { ending.run_until_cancelled(rounds).await });
}

/// What those take that may take more than `worth`. The resident memory is cheap to read and never less than the share,
/// so that the share is read of large ones alone. One thread after the other: a second is long.
async fn weigh(watched: Vec<Watched>, worth: u64) -> Vec<(Watched, u64)> {
    let weighing = tokio::task::spawn_blocking(move || {
        let large = watched.into_iter().filter(|one| one.vitals.resident_bytes().is_some_and(|b| b > worth));
        large.filter_map(|one| one.vitals.facts().map(|facts| (one, facts.memory_bytes()))).collect()
    });
    weighing.await.unwrap_or_default()
}
