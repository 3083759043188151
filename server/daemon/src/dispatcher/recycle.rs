//! Processes that have served enough end between turns; their conversations go on with another one.

use claude_comms_model::{
    Failure, FailureReason, InstanceExit, InstanceId, InstanceState, instance::InstanceEvent,
};
use claude_comms_supervisor::Stop;

use super::{Command, Dispatcher, LeaseReport, instances::exit_record, task::DispatcherTask};
use crate::{live::Ending, pool::Recycle};

impl DispatcherTask {
    /// Replaces an idle instance's process if that has served enough.
    pub(super) fn recycle_if_due(&mut self, id: InstanceId) {
        if !self.is_draining()
            && let Some(why) = self.pool.served_enough(id, &self.options.process)
        {
            let how = if why == Recycle::MemoryHardLimit { Stop::Now } else { Stop::Graceful };
            self.recycle(id, why, how);
        } else if let Some(entry) = self.pool.get_mut(id).filter(|entry| entry.state == InstanceState::Idle) {
            // It was to be killed for its turn, which ended before that, and takes less now.
            entry.tenure.recycled = None;
        }
    }

    /// Takes down what a process takes, with all that it started: one that takes too much goes.
    pub(super) fn weighed(&mut self, id: InstanceId, process_id: u32, bytes: u64) {
        let Some(entry) = self.pool.get_mut(id).filter(|entry| entry.process_id == process_id) else {
            return;
        };
        entry.tenure.memory_bytes = Some(bytes);
        let Some(limit) = self.options.process.memory_hard.filter(|limit| bytes > *limit) else {
            return self.recycle_if_due(id);
        };
        match entry.state {
            // One that stops may still run its turn.
            InstanceState::Busy | InstanceState::Stopping
                if entry.tenure.recycled.is_none() && !entry.ending =>
            {
                entry.tenure.recycled = Some(Recycle::MemoryHardLimit);
                self.figures.process_recycled(Recycle::MemoryHardLimit.as_str());
                tracing::warn!(instance.id = %id, process_id, bytes, limit, "process takes too much memory and is killed");
                let words = format!(
                    "its process, with all that it had started, took {} MiB, more than the {} MiB of pool.memory_hard_limit",
                    bytes >> 20,
                    limit >> 20
                );
                let failure = Failure::new(FailureReason::MemoryLimit, words);
                self.end_turn_of(id, &Ending::Kill(failure));
            }
            InstanceState::Idle => self.recycle_if_due(id),
            _ => {}
        }
    }

    /// Looks at all idle instances.
    pub(super) fn recycle_due(&mut self) {
        let idle: Vec<InstanceId> =
            self.pool.iter().filter(|entry| entry.idle.is_some()).map(|entry| entry.record.id).collect();
        for id in idle {
            self.recycle_if_due(id);
        }
    }

    /// Ends the process of an idle instance. What the pool made by itself goes with it; a pinned one gets another process
    /// at its next turn.
    pub(super) fn recycle(&mut self, id: InstanceId, why: Recycle, how: Stop) {
        let Some(commands) = self.commands() else { return };
        let Some(entry) = self.pool.get_mut(id).filter(|entry| entry.state == InstanceState::Idle) else {
            return;
        };
        if entry.tenure.recycled.replace(why).is_none() {
            self.figures.process_recycled(why.as_str());
        }
        tracing::info!(
            instance.id = %id,
            process_id = entry.process_id,
            turns = entry.tenure.turns,
            memory_bytes = entry.tenure.memory_bytes,
            reason = why.as_str(),
            "process is replaced"
        );
        if !entry.record.pinned {
            entry.stop_now = how == Stop::Now;
            return self.begin_stop(id);
        }
        // Held as by a turn: turns wait, a pause comes after it, a stop too.
        let Some(running) = entry.idle.take() else { return };
        self.pool.apply(id, InstanceEvent::Lease);
        self.tracker.spawn(async move {
            let exit = Some(exit_record(&running.process.stop(how).await));
            let report = LeaseReport { exit, ..LeaseReport::default() };
            let _ = commands.send(Command::Returned(id, Box::new(report))).await;
        });
    }

    /// How a process ended, with our reason where it was replaced.
    pub(super) fn with_our_reason(&self, id: InstanceId, exit: Option<InstanceExit>) -> Option<InstanceExit> {
        let why = self.pool.get(id).and_then(|entry| entry.tenure.recycled);
        exit.map(|exit| match why {
            Some(why) => InstanceExit { reason: why.exit_reason().to_owned(), ..exit },
            None => exit,
        })
    }
}

impl Dispatcher {
    /// What an instance's process takes with all that it started, bytes.
    pub(crate) async fn weighed(&self, id: InstanceId, process_id: u32, bytes: u64) {
        let _ = self.commands.send(Command::Weighed(id, process_id, bytes)).await;
    }
}
