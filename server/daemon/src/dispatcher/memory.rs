//! What the dispatcher's task does while memory is short: nothing is started, and what is idle goes, one after the other.

use claude_comms_model::{ConversationId, InstanceId, InstanceState};

use super::{Refused, task::DispatcherTask};
use crate::{
    live::WaitsFor,
    memory::{Memory, size},
};

impl DispatcherTask {
    /// Whether no process may be started.
    pub(super) fn is_short(&self) -> bool {
        self.lines.held == Some(WaitsFor::Memory)
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
            self.begin_stop(idle);
        }
    }

    /// Why nothing is started, for who asks for it.
    pub(super) fn memory_pressure(&mut self, retry_after: std::time::Duration) -> Refused {
        let now = *self.memory.borrow();
        Refused::MemoryPressure { free: now.free.unwrap_or(0), reserve: now.reserve, retry_after }
    }

    /// Whether a turn of the conversation would need a process that is not there.
    pub(super) fn needs_start(&self, conversation: ConversationId, target: Option<InstanceId>) -> bool {
        let own = target.or_else(|| self.pool.of_conversation(conversation)).and_then(|id| self.pool.get(id));
        own.is_none_or(|entry| matches!(entry.state, InstanceState::Dormant | InstanceState::Stopping))
    }
}
