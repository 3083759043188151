//! Which processes are to be checked, and what was found of them.

use std::time::Duration;

use claude_comms_model::{ConversationId, InstanceId, InstanceState};

use super::{Refused, task::DispatcherTask};
use crate::health::{Condition, Finding, Watched};

/// So often in a row a process is found unhealthy before it is ended.
const UNHEALTHY_LIMIT: u32 = 2;
/// A busy process that does not answer is left alone if it said something of its turn within this time.
const QUIET: Duration = Duration::from_secs(10);

impl DispatcherTask {
    pub(super) fn watched(&self) -> Vec<Watched> {
        // One that is paused stands still because somebody wants it to.
        let alive =
            self.pool.iter().filter(|entry| entry.process_id != 0 && entry.state != InstanceState::Paused);
        alive
            .filter_map(|entry| Some(Watched { instance: entry.record.id, vitals: entry.vitals.clone()? }))
            .collect()
    }

    /// The refusal of a turn that would need a new process, while none are started. One that a process is there for, or
    /// that comes behind another, is taken.
    pub(super) fn failing(
        &self,
        conversation: ConversationId,
        target: Option<InstanceId>,
    ) -> Option<Refused> {
        let view = self.condition.blocked()?;
        let id = target.or_else(|| self.pool.of_conversation(conversation));
        let has_process = id.and_then(|id| self.pool.get(id)).is_some_and(|entry| entry.process_id != 0);
        (!has_process && !self.lines.has_turns(conversation)).then(|| Refused::BackendFailing(Box::new(view)))
    }

    /// Keeps a finding, unless the process it is about was followed by another or was paused meanwhile. Changes are logged.
    pub(super) fn checked(&mut self, id: InstanceId, finding: Finding) {
        let Some(entry) = self.pool.get_mut(id) else { return };
        if entry.process_id != finding.process_id || entry.state == InstanceState::Paused {
            return;
        }
        let before = entry.health().map(|before| before.condition);
        if before.unwrap_or(Condition::Healthy) != finding.condition {
            let (process_id, reason) = (finding.process_id, finding.reason.as_str());
            match finding.condition {
                Condition::Healthy => {
                    tracing::info!(instance.id = %id, process_id, "instance is healthy again")
                }
                Condition::Degraded => {
                    tracing::warn!(instance.id = %id, process_id, reason, "instance is degraded")
                }
                Condition::Unhealthy => {
                    tracing::warn!(instance.id = %id, process_id, reason, "instance is unhealthy")
                }
            }
        }
        entry.unhealthy = if finding.condition == Condition::Unhealthy { entry.unhealthy + 1 } else { 0 };
        if entry.unhealthy >= UNHEALTHY_LIMIT
            && let Some(vitals) = &entry.vitals
        {
            tracing::warn!(instance.id = %id, process_id = finding.process_id, "its process is ended: it was unhealthy twice");
            // Whose state the system tells will not answer; who is silent may work all the same, and is heard then.
            let quiet_for = if finding.is_certain() { Duration::ZERO } else { QUIET };
            vitals.condemn(finding.reason.clone(), quiet_for);
        }
        entry.checked = Some(finding.clone());
        let weighed = finding.facts.map(|facts| (finding.process_id, facts.memory_bytes()));
        self.pool.note(id);
        self.hub.monitor().checked(id, finding);
        if let Some((process_id, bytes)) = weighed {
            self.weighed(id, process_id, bytes);
        }
    }
}
