//! What the outside may see of the dispatcher's state.

use claude_comms_model::{Instance, InstanceId, InstanceState};

use super::{InstanceView, Refused, task::DispatcherTask};
use crate::pool::Entry;

impl InstanceView {
    /// One that has ended.
    pub(super) fn stopped(record: Instance) -> Self {
        Self {
            record,
            state: InstanceState::Stopped,
            process_id: 0,
            health: None,
            pause_pending: false,
            spare: false,
        }
    }

    /// What its process with all it started takes, when it was last looked at, bytes; 0 where nobody knows.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let facts = self.health.as_ref().and_then(|finding| finding.facts);
        facts.map_or(0, |facts| if facts.pss_bytes > 0 { facts.pss_bytes } else { facts.rss_bytes })
    }

    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            record: entry.record.clone(),
            state: entry.state,
            process_id: entry.process_id,
            health: entry.health(),
            pause_pending: entry.pause.pending,
            spare: entry.spare,
        }
    }
}

impl DispatcherTask {
    pub(super) fn view(&self, id: InstanceId) -> Result<InstanceView, Refused> {
        if let Some(entry) = self.pool.get(id) {
            return Ok(InstanceView::of(entry));
        }
        self.pool
            .stopped()
            .find(|record| record.id == id)
            .map(|record| InstanceView::stopped(record.clone()))
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
            .map(InstanceView::of)
            .chain(self.pool.stopped().cloned().map(InstanceView::stopped))
            .collect();
        views.sort_by_key(|view| view.record.id);
        views
    }
}
