//! What the dispatcher's task puts down for those who watch instances and the pool. It changes nothing itself.

use claude_comms_model::{InstanceExit, InstanceId};
use claude_comms_supervisor::StderrFeed;

use super::{InstanceView, task::DispatcherTask};
use crate::pool::Noted;

impl DispatcherTask {
    /// Puts down what the pool has noted, in its order.
    pub(super) fn tell(&mut self) {
        let journal = self.pool.take_journal();
        if journal.is_empty() {
            return;
        }
        let monitor = self.hub.monitor();
        let mut changed: Vec<(InstanceId, u64)> = Vec::new();
        for noted in journal {
            if let Noted::State(id, state, previous) = noted {
                monitor.state_changed(id, state, previous);
            }
            match noted {
                Noted::State(id, ..) | Noted::Changed(id) => {
                    match changed.iter_mut().find(|(other, _)| *other == id) {
                        Some((_, changes)) => *changes += 1,
                        None => changed.push((id, 1)),
                    }
                }
                Noted::Gone(id) => {
                    let before =
                        changed.iter().find(|(other, _)| *other == id).map_or(0, |(_, changes)| *changes);
                    changed.retain(|(other, _)| *other != id);
                    monitor.board().remove(id, before + 1);
                }
                Noted::Forgotten(id) => monitor.forget(id),
            }
        }
        for (id, changes) in changed {
            if let Some(entry) = self.pool.get(id) {
                let view = InstanceView::of(entry);
                monitor.board().post(view, changes);
            }
        }
    }

    /// After each message: whoever watches the pool sees what it did.
    pub(super) fn show(&mut self) {
        self.tell();
        self.tell_spares();
        let board = self.hub.monitor().board();
        board.load(self.lines.running(), self.lines.queued());
        board.show();
    }

    /// An instance has a process.
    pub(super) fn tell_started(&mut self, id: InstanceId, stderr: StderrFeed) {
        self.tell();
        let Some(entry) = self.pool.get(id) else { return };
        let (process_id, generation) = (entry.process_id, entry.record.process_generation);
        self.hub.monitor().process_started(id, process_id, generation, stderr);
        self.pool.note(id);
    }

    /// A process is gone; its instance's last one, where it is not named.
    pub(super) fn tell_exited(
        &mut self,
        id: InstanceId,
        process_id: Option<u32>,
        exit: Option<&InstanceExit>,
    ) {
        self.tell();
        let Some(exit) = exit else { return };
        let Some(process_id) = process_id.or_else(|| self.pool.get(id).map(|entry| entry.process_id)) else {
            return;
        };
        self.hub.monitor().process_exited(id, process_id, exit);
    }
}
