//! Which processes are to be checked, and what was found of them.

use claude_comms_model::{InstanceId, InstanceState};

use super::task::DispatcherTask;
use crate::health::{Condition, Finding, Watched};

impl DispatcherTask {
    pub(super) fn watched(&self) -> Vec<Watched> {
        // One that is paused stands still because somebody wants it to.
        let alive =
            self.pool.iter().filter(|entry| entry.process_id != 0 && entry.state != InstanceState::Paused);
        alive
            .filter_map(|entry| Some(Watched { instance: entry.record.id, vitals: entry.vitals.clone()? }))
            .collect()
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
        entry.checked = Some(finding.clone());
        self.pool.note(id);
        self.hub.monitor().checked(id, finding);
        self.recycle_if_due(id);
    }
}
