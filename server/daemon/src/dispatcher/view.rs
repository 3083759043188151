//! What the outside may see of the dispatcher's state.

use claude_comms_model::{InstanceId, InstanceState};

use super::{InstanceView, Refused, task::DispatcherTask};

impl DispatcherTask {
    pub(super) fn view(&self, id: InstanceId) -> Result<InstanceView, Refused> {
        if let Some(entry) = self.pool.get(id) {
            return Ok(InstanceView {
                record: entry.record.clone(),
                state: entry.state,
                process_id: entry.process_id,
                health: entry.health(),
            });
        }
        self.pool
            .stopped()
            .find(|record| record.id == id)
            .map(|record| InstanceView {
                record: record.clone(),
                state: InstanceState::Stopped,
                process_id: 0,
                health: None,
            })
            .ok_or_else(|| Refused::NoSuchInstance(id.to_string()))
    }

    /// By id or name. A name is unique among those that are not stopped; of stopped ones the newest is meant.
    pub(super) fn find(&self, text: &str) -> Result<InstanceView, Refused> {
        if let Ok(id) = text.parse::<InstanceId>() {
            return self.view(id);
        }
        let named = |name: &str| name == text && !text.is_empty();
        let live = self.pool.iter().find(|entry| named(&entry.record.name)).map(|entry| entry.record.id);
        let stopped =
            || self.pool.stopped().filter(|record| named(&record.name)).map(|record| record.id).next_back();
        let id = live.or_else(stopped).ok_or_else(|| Refused::NoSuchInstance(text.to_owned()))?;
        self.view(id)
    }

    pub(super) fn views(&self) -> Vec<InstanceView> {
        let mut views: Vec<InstanceView> = self
            .pool
            .iter()
            .map(|e| InstanceView {
                record: e.record.clone(),
                state: e.state,
                process_id: e.process_id,
                health: e.health(),
            })
            .chain(self.pool.stopped().map(|record| InstanceView {
                record: record.clone(),
                state: InstanceState::Stopped,
                process_id: 0,
                health: None,
            }))
            .collect();
        views.sort_by_key(|view| view.record.id);
        views
    }
}
