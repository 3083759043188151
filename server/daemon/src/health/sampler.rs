//! Asks every process how it is, again and again, beside the dispatcher's task: a process that hangs holds up nobody.

use std::time::{Duration, SystemTime};

use claude_comms_model::InstanceId;
use claude_comms_supervisor::{ProcessFacts, ProcessState, Vitals};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::findings::{self, Finding};
use crate::dispatcher::Dispatcher;

/// How long a process may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A process that ends, or that was stopped for a moment, looks like one that is out: it is looked at twice.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// How long all looks at one process may take: the system may hold one up that hangs in the kernel.
const CHECK_LIMIT: Duration = Duration::from_secs(20);
/// Processes that are asked at the same time.
const AT_ONCE: usize = 16;

/// A process to be checked.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// Its instance.
    pub instance: InstanceId,
    /// The process.
    pub vitals: Vitals,
}

/// Checks all processes every `interval` until `ending`, on `tracker`.
pub(crate) fn watch_instances(
    tracker: &TaskTracker,
    ending: CancellationToken,
    dispatcher: Dispatcher,
    interval: Duration,
) {
    let rounds = async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(watched) = dispatcher.vitals().await else { return };
            round(&dispatcher, watched).await;
        }
    };
    tracker.spawn(async move { ending.run_until_cancelled(rounds).await });
}

/// One round. Each finding is told as soon as it is there.
async fn round(dispatcher: &Dispatcher, watched: Vec<Watched>) {
    let mut checks = JoinSet::new();
    for Watched { instance, vitals } in watched {
        if checks.len() >= AT_ONCE {
            let _ = checks.join_next().await;
        }
        let dispatcher = dispatcher.clone();
        checks.spawn(async move {
            let checked = tokio::time::timeout(CHECK_LIMIT, check(&vitals)).await;
            let now = SystemTime::now().into();
            let finding = checked.unwrap_or_else(|_| Some(findings::unread(vitals.process_id(), now)));
            if let Some(finding) = finding {
                dispatcher.checked(instance, finding).await;
            }
        });
    }
    while checks.join_next().await.is_some() {}
}

/// Checks one process. `None` if there is nothing to be said of it.
async fn check(vitals: &Vitals) -> Option<Finding> {
    if !is_ours_to_judge(vitals) {
        return None;
    }
    let mut facts = look(vitals).await;
    if findings::is_out(facts) {
        tokio::time::sleep(SECOND_LOOK).await;
        facts = look(vitals).await;
    }
    let mut status = None;
    if !findings::is_out(facts) {
        let answered = vitals.status(ANSWER_LIMIT).await;
        if answered.is_err() {
            // It may have been stopped in the meantime, which says more than its silence.
            facts = look(vitals).await;
        }
        status = Some(answered);
    }
    // Paused or ended by us while it was looked at.
    if !is_ours_to_judge(vitals) {
        return None;
    }
    findings::judge(vitals.process_id(), facts, status, SystemTime::now().into())
}

fn is_ours_to_judge(vitals: &Vitals) -> bool {
    matches!(
        vitals.state(),
        ProcessState::Parked
            | ProcessState::Idle
            | ProcessState::Busy { .. }
            | ProcessState::Interrupting { .. }
    )
}

async fn look(vitals: &Vitals) -> Option<ProcessFacts> {
    let vitals = vitals.clone();
    tokio::task::spawn_blocking(move || vitals.facts()).await.ok().flatten()
}
