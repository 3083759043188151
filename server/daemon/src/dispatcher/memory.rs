//! What the dispatcher's task does while memory is short: nothing is started, and what is idle goes, one after the other.

use std::time::Duration;

use claude_comms_model::{ConversationId, InstanceId, InstanceState};

use super::{Command, Refused, task::DispatcherTask};
use crate::{
    live::WaitsFor,
    memory::{Memory, size},
};

/// So long after its start a process may not have taken its memory yet, or not when that was looked at.
const SETTLES: Duration = Duration::from_secs(2);
/// When what waits for those looks again.
const AGAIN: Duration = Duration::from_millis(250);

impl DispatcherTask {
    /// Whether no process may be started.
    pub(super) fn is_short(&self) -> bool {
        self.lines.held == Some(WaitsFor::Memory)
    }

    /// Whether a process may be started. Memory is looked at now and then, and those that start have not taken theirs yet:
    /// what they will take is not given twice. If not, it is asked again soon.
    pub(super) fn may_start(&mut self) -> bool {
        if self.lines.no_start().is_some() {
            return false;
        }
        let memory = *self.memory.borrow();
        if memory.room_beside(self.pool.len()) || memory.room_beside(self.pool.starting(SETTLES)) {
            return true;
        }
        tracing::debug!("starts wait until memory has been looked at again");
        self.lines.crowd(true);
        self.later(AGAIN, Command::StartsSettle);
        false
    }

    /// Whether memory leaves room for a process that nobody waits for.
    pub(super) fn may_start_spare(&self) -> bool {
        let memory = *self.memory.borrow();
        self.lines.no_start().is_none() && memory.spares_room(self.pool.starting(SETTLES) + 1)
    }

    /// Memory was looked at.
    pub(super) fn memory_changed(&mut self) {
        let now = *self.memory.borrow_and_update();
        self.judge_memory(now);
    }

    pub(super) fn judge_memory(&mut self, now: Memory) {
        let free = now.free.map(size).unwrap_or_default();
        if now.short != self.is_short() {
            self.hub.monitor().board().stir();
            self.lines.hold(now.short.then_some(WaitsFor::Memory));
            let (reserve, queued) = (size(now.reserve), self.lines.queued());
            if now.short {
                tracing::warn!(
                    free,
                    reserve,
                    queued,
                    "memory is short: no process is started, idle ones end"
                );
            } else {
                tracing::info!(free, reserve, queued, "memory is no longer short");
            }
        }
        // One at a time: the next look says whether it helped.
        if now.short
            && self.pool.ending() == 0
            && let Some(idle) = self.pool.longest_idle()
        {
            tracing::info!(instance.id = %idle, free, "instance ends to free memory");
            self.figures.instance_evicted("memory");
            if self.pool.get(idle).is_some_and(|entry| entry.spare) {
                self.spare_shed();
            }
            self.begin_stop(idle);
        }
    }

    /// Why nothing is started, for who asks for it.
    pub(super) fn memory_pressure(&mut self, retry_after: Duration) -> Refused {
        let now = *self.memory.borrow();
        Refused::MemoryPressure { free: now.free.unwrap_or(0), reserve: now.reserve, retry_after }
    }

    /// Whether a turn of the conversation would need a process that is not there.
    pub(super) fn needs_start(&self, conversation: ConversationId, target: Option<InstanceId>) -> bool {
        let own = target.or_else(|| self.pool.of_conversation(conversation)).and_then(|id| self.pool.get(id));
        own.is_none_or(|entry| matches!(entry.state, InstanceState::Dormant | InstanceState::Stopping))
    }
}
