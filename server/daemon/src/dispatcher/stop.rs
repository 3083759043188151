//! The end of instances, as the dispatcher's task carries it out: asked for, evicted, or with the server.

use claude_comms_model::{
    CancelReason, Instance, InstanceExit, InstanceId, InstanceState, instance::InstanceEvent,
};
use claude_comms_supervisor::Stop;

use super::{
    Command, InstanceView, Refused, cancelled,
    command::Reply,
    instances::{exit_record, write},
    task::DispatcherTask,
};
use crate::pool::Pause;

impl DispatcherTask {
    pub(super) fn stop_instance(&mut self, id: InstanceId, now: bool, reply: Reply<InstanceView>) {
        if self.pool.get(id).is_none() {
            let known = self.pool.stopped().find(|record| record.id == id).cloned();
            let _ = reply.send(known.map_or_else(
                || Err(Refused::NoSuchInstance(id.to_string())),
                |record| Ok(InstanceView::stopped(record)),
            ));
            return;
        }
        self.stopping.push((id, reply));
        for slot in self.lines.slots.values().filter(|slot| slot.target == Some(id) && slot.grant.is_some()) {
            slot.live.request_cancel(cancelled(CancelReason::InstanceStopped, "its instance was stopped"));
        }
        if now {
            if let Some(entry) = self.pool.get_mut(id) {
                entry.stop_now = true;
            }
            self.cancel_running(id);
        }
        self.begin_stop(id);
        if !now {
            self.later(self.options.stop_grace, Command::StopGraceOver(id));
        }
    }

    /// Sets an instance on its way out. One that runs a turn or starts goes on until that is over.
    pub(super) fn begin_stop(&mut self, id: InstanceId) {
        let Some(before) = self.pool.get(id).map(|entry| entry.state) else { return };
        if before == InstanceState::Stopping {
            return;
        }
        self.pool.apply(id, InstanceEvent::Stop);
        if let Some(entry) = self.pool.get_mut(id) {
            entry.pause = Pause::default();
        }
        self.refuse_pauses(id);
        if matches!(before, InstanceState::Idle | InstanceState::Dormant | InstanceState::Paused) {
            self.end_process(id);
        }
    }

    /// Ends the process of a stopping instance that nobody holds.
    pub(super) fn end_process(&mut self, id: InstanceId) {
        let Some(commands) = self.commands() else { return };
        let (draining, asked) = (self.is_draining(), self.is_asked_to_stop(id));
        let Some(entry) = self.pool.get_mut(id) else { return };
        // A spare has nothing to lose.
        let how = if entry.stop_now || entry.spare { Stop::Now } else { Stop::Graceful };
        let running = entry.idle.take();
        entry.ending = true;
        // A pinned instance's end is durable before anybody is told. With the server alone it does not end.
        let record = (entry.record.pinned && (!draining || asked))
            .then(|| Instance { stopped: true, ..entry.record.clone() });
        let store = std::sync::Arc::clone(&self.store);
        self.tracker.spawn(async move {
            let exit = match running {
                Some(running) => Some(exit_record(&running.process.stop(how).await)),
                None => None,
            };
            if let Some(mut record) = record {
                record.exit = exit.clone().or(record.exit);
                write(store.as_ref(), record).await;
            }
            let _ = commands.send(Command::Stopped(id, exit)).await;
        });
    }

    pub(super) fn stopped(&mut self, id: InstanceId, exit: Option<InstanceExit>) {
        let exit = self.with_our_reason(id, exit);
        self.tell_exited(id, None, exit.as_ref());
        if self.is_draining()
            && self.pool.get(id).is_some_and(|entry| entry.record.pinned && !self.is_asked_to_stop(id))
        {
            // A pinned instance outlives the server; only its process went.
            self.pool.make_dormant(id, exit);
            return;
        }
        self.pool.apply(id, InstanceEvent::StopDone);
        self.remove_dir(id);
        if self.pool.get(id).is_some_and(|entry| entry.spare) && !self.is_asked_to_stop(id) {
            // Nobody ever had to do with it.
            return self.pool.forget(id);
        }
        let draining = self.is_draining();
        match self.pool.remove(id, exit) {
            // It was asked for after the drain had begun to end the process, which alone ends no pinned instance.
            Some(record) if draining && record.pinned => {
                let replies: Vec<_> = self.stopping.extract_if(.., |(of, _)| *of == id).collect();
                let store = std::sync::Arc::clone(&self.store);
                self.tracker.spawn(async move {
                    write(store.as_ref(), record.clone()).await;
                    for (_, reply) in replies {
                        let _ = reply.send(Ok(InstanceView::stopped(record.clone())));
                    }
                });
            }
            _ => self.answer_stops(id),
        }
    }

    fn is_asked_to_stop(&self, id: InstanceId) -> bool {
        self.stopping.iter().any(|(stopping, _)| *stopping == id)
    }

    pub(super) fn answer_stops(&mut self, id: InstanceId) {
        for (stopping, reply) in std::mem::take(&mut self.stopping) {
            if stopping == id {
                let _ = reply.send(self.view(id));
            } else {
                self.stopping.push((stopping, reply));
            }
        }
    }

    /// Ends every process that nobody holds, for the drain.
    pub(super) fn stop_processes(&mut self) {
        let free = |state| matches!(state, InstanceState::Idle | InstanceState::Paused);
        let free: Vec<InstanceId> = self.pool.iter().filter(|e| free(e.state)).map(|e| e.record.id).collect();
        for id in free {
            self.begin_stop(id);
        }
    }
}
