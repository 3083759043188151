//! Instances as the dispatcher's task handles them: start, ready, gone. Their end is in `stop`.

use claude_comms_model::{Instance, InstanceExit, InstanceId, InstanceState, instance::InstanceEvent};
use claude_comms_supervisor::{ExitCause, ExitInfo, ProcessState};

use super::{
    Command, Held, InstanceView, NewInstance, Refused,
    admission::LEAST_FOR_MEMORY,
    command::Reply,
    task::{DispatcherTask, now},
};
use crate::{
    backend::{Running, TakeUp, chain},
    pair::Pair,
    pool::Tenure,
};

/// A start that waits for a slot.
pub(super) struct Starting {
    new: NewInstance,
    reply: Reply<InstanceView>,
}

impl Starting {
    pub(super) fn refuse(self, refused: Refused) {
        let _ = self.reply.send(Err(refused));
    }
}

impl DispatcherTask {
    pub(super) fn restore(&mut self, record: Instance, pair: Pair) {
        if record.stopped {
            self.hub.monitor().no_more(&[record.id]);
            self.pool.remember(record);
        } else {
            self.pool.insert_for(record, pair, InstanceState::Dormant);
        }
    }

    pub(super) fn start_instance(&mut self, new: NewInstance, reply: Reply<InstanceView>) {
        let starting = Starting { new, reply };
        let new = &starting.new;
        if !new.name.is_empty()
            && (self.pool.name_taken(&new.name) || self.starting.iter().any(|s| s.new.name == new.name))
        {
            let name = new.name.clone();
            return starting.refuse(Refused::NameTaken(name));
        }
        if self.is_draining() {
            return starting.refuse(Refused::Draining);
        }
        if self.is_short() {
            return starting.refuse(self.memory_pressure(LEAST_FOR_MEMORY));
        }
        self.starting.retain(|starting| !starting.reply.is_closed());
        if let Some(other) =
            self.starting.iter().find(|s| s.new.conversation.id == starting.new.conversation.id)
        {
            let conversation = other.new.conversation.id;
            return starting.refuse(Refused::ConversationStarting(conversation));
        }
        let new = &starting.new;
        if let Some(served) = self.pool.of_conversation(new.conversation.id) {
            let pinned = self.pool.get(served).is_some_and(|entry| entry.record.pinned);
            if pinned {
                let conversation = new.conversation.id;
                return starting.refuse(Refused::ConversationServed(conversation, served));
            }
            if let Some(id) = self.paused(new.conversation.id, None) {
                return starting.refuse(Refused::InstancePaused(id));
            }
            self.begin_stop(served);
        } else if self.pool.all_held() {
            return starting.refuse(Refused::AllInstancesPinned(Held::all(self.options.max_instances)));
        }
        self.starting.push(starting);
    }

    /// Starts what waits for a slot and can have one.
    pub(super) fn pump_starts(&mut self) {
        let (mut waiting, mut wanted) = (Vec::new(), 0);
        for starting in std::mem::take(&mut self.starting) {
            if starting.reply.is_closed() {
                // Who asked has gone: nothing is started behind anybody's back.
            } else if self.pool.all_held() {
                starting.refuse(Refused::AllInstancesPinned(Held::all(self.options.max_instances)));
            } else if self.is_short() || self.pool.of_conversation(starting.new.conversation.id).is_some() {
                waiting.push(starting);
            } else if self.pool.is_full() {
                wanted += 1;
                waiting.push(starting);
            } else if !self.may_start() {
                waiting.push(starting);
            } else {
                self.launch(starting);
            }
        }
        self.starting.extend(waiting);
        self.make_room(wanted);
    }

    fn launch(&mut self, Starting { new, reply }: Starting) {
        let Some(commands) = self.commands() else { return };
        let mut record = self.new_record(new.conversation.id);
        record.pinned = true;
        record.name.clone_from(&new.name);
        record.model.clone_from(&new.model);
        record.process_generation = 1;
        let id = record.id;
        self.pool.insert_for(record.clone(), Pair::of(&new.conversation), InstanceState::Starting);
        let (backend, store) = (std::sync::Arc::clone(&self.backend), std::sync::Arc::clone(&self.store));
        let (given_up, condition) = (self.launches.clone(), self.condition.clone());
        self.tracker.spawn(async move {
            let made = async {
                backend.ready().await?;
                if let Some(view) = condition.blocked() {
                    return Err(Refused::BackendFailing(Box::new(view)));
                }
                let running = backend
                    .start(id, &new.conversation, new.model.as_deref(), TakeUp::Latest)
                    .await
                    .map_err(|error| {
                        condition.start_failed(&error);
                        Refused::SpawnFailed(chain(&error))
                    })?;
                if new.make_conversation {
                    let conversation = claude_comms_store::NewConversation {
                        id: new.conversation.id,
                        title: new.conversation.title,
                        system_prompt: new.conversation.system_prompt,
                        model: new.conversation.model,
                        labels: new.conversation.labels,
                        source_module: None,
                        target_module: None,
                        scene: None,
                    };
                    store.create_conversation(conversation).await?;
                }
                store.put_instance(record).await?;
                Ok(running)
            };
            let made = given_up.run_until_cancelled(made).await.unwrap_or(Err(Refused::Draining));
            let command = match made {
                Ok(running) => Command::InstanceReady(id, Box::new(running), reply),
                Err(refused) => Command::InstanceFailed(id, refused, reply),
            };
            let _ = commands.send(command).await;
        });
    }

    pub(super) fn instance_ready(&mut self, id: InstanceId, running: Running, reply: Reply<InstanceView>) {
        self.watch_process(id, &running);
        let stderr = running.process.stderr();
        if let Some(entry) = self.pool.get_mut(id) {
            entry.process_id = running.process.process_id();
            entry.vitals = running.process.vitals();
            entry.tenure = Tenure::begin();
            entry.unhealthy = 0;
            entry.idle = Some(running);
        }
        self.tell_started(id, stderr);
        if self.pool.apply(id, InstanceEvent::Ready) == Some(InstanceState::Stopping) {
            self.end_process(id);
        }
        self.pause_if_pending(id);
        let _ = reply.send(self.view(id));
    }

    /// Carries out a pause that waited for the instance to be free.
    fn pause_if_pending(&mut self, id: InstanceId) {
        self.pool.pause_if_pending(id);
        self.settle_pause(id);
    }

    pub(super) fn instance_failed(&mut self, id: InstanceId, refused: Refused, reply: Reply<InstanceView>) {
        self.remove_dir(id);
        self.pool.forget(id);
        self.answer_stops(id);
        let _ = reply.send(Err(refused));
    }

    /// A lease's holder started a process: it is seen from now on.
    pub(super) fn process_started(&mut self, id: InstanceId, running: &Running) {
        self.watch_process(id, running);
        if let Some(entry) = self.pool.get_mut(id) {
            entry.process_id = running.process.process_id();
            entry.vitals = running.process.vitals();
            entry.tenure = Tenure::begin();
            entry.unhealthy = 0;
            entry.record.process_generation += 1;
            self.tell_started(id, running.process.stderr());
            let Some(entry) = self.pool.get_mut(id) else { return };
            let pinned = entry.record.pinned.then(|| entry.record.clone());
            if entry.state == InstanceState::Starting {
                self.pool.apply(id, InstanceEvent::Ready);
                self.pool.apply(id, InstanceEvent::Lease);
            }
            if let Some(record) = pinned {
                self.put(record);
            }
        }
    }

    pub(super) fn watch_process(&self, id: InstanceId, running: &Running) {
        // Weak: a process that lives must not keep the task alive that owns it.
        let Some(commands) = self.commands().map(|commands| commands.downgrade()) else { return };
        let process_id = running.process.process_id();
        // Not a clone of the handle: the last handle's drop must still end the process.
        let mut states = running.process.state();
        let (figures, condition) = (self.figures.clone(), self.condition.clone());
        self.tracker.spawn(async move {
            let exit =
                match states.wait_for(|state| matches!(state, ProcessState::Exited(_))).await.as_deref() {
                    Ok(ProcessState::Exited(exit)) => {
                        figures.process_exited(&exit.cause);
                        condition.process_gone(exit);
                        exit_record(exit)
                    }
                    _ => return,
                };
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::ProcessGone(id, process_id, exit)).await;
            }
        });
    }

    pub(super) fn process_gone(&mut self, id: InstanceId, process_id: u32, exit: InstanceExit) {
        // One that another has followed is not the one that was replaced now.
        let exit = match self.pool.get(id) {
            Some(entry) if entry.process_id == process_id => {
                self.with_our_reason(id, Some(exit.clone())).unwrap_or(exit)
            }
            _ => exit,
        };
        self.tell_exited(id, Some(process_id), Some(&exit));
        let Some(entry) = self.pool.get_mut(id) else { return };
        if entry.process_id == process_id {
            entry.process_id = 0;
            entry.record.exit = Some(exit.clone());
            if matches!(entry.state, InstanceState::Idle | InstanceState::Paused) {
                self.take_back_dead(id, Some(exit));
            }
        }
    }

    /// An instance comes back from its turn, alive or not.
    pub(super) fn take_back(&mut self, id: InstanceId, running: Option<Running>, exit: Option<InstanceExit>) {
        let Some(entry) = self.pool.get_mut(id) else { return };
        // It may have died in the moment between its turn's end and its return.
        let running = running.filter(|running| running.process.state().borrow().exit().is_none());
        match running {
            Some(running) => {
                let unclaimed = running.parked.is_some();
                entry.idle = Some(running);
                if unclaimed {
                    self.pool.return_spare(id);
                    self.refuse_pauses(id);
                }
                if self.pool.apply(id, InstanceEvent::Return) == Some(InstanceState::Stopping) {
                    self.end_process(id);
                }
                self.recycle_if_due(id);
                self.pause_if_pending(id);
            }
            None => self.take_back_dead(id, exit),
        }
    }

    fn take_back_dead(&mut self, id: InstanceId, exit: Option<InstanceExit>) {
        let exit = self.with_our_reason(id, exit);
        self.tell_exited(id, None, exit.as_ref());
        self.spare_died(id, exit.as_ref());
        let Some(entry) = self.pool.get_mut(id) else { return };
        entry.idle = None;
        entry.process_id = 0;
        if exit.is_some() {
            entry.record.exit = exit;
        }
        let stays = entry.record.pinned || entry.is_paused();
        let event = if entry.state == InstanceState::Starting {
            InstanceEvent::StartFailed
        } else {
            InstanceEvent::ProcessGone
        };
        match self.pool.apply(id, event) {
            Some(InstanceState::Stopping) => self.end_process(id),
            // What the pool made by itself goes with its process; the conversation gets another when it needs one.
            Some(InstanceState::Dormant) if !stays => {
                self.remove_dir(id);
                self.pool.remove(id, None);
            }
            _ => self.pause_if_pending(id),
        }
    }

    /// Writes a pinned instance's record, without waiting for it.
    fn put(&self, record: Instance) {
        let store = std::sync::Arc::clone(&self.store);
        self.tracker.spawn(async move { write(store.as_ref(), record).await });
    }

    /// Removes what an instance left on disk, beside the task: a tree may take a while.
    pub(super) fn remove_dir(&self, id: InstanceId) {
        let backend = std::sync::Arc::clone(&self.backend);
        self.tracker.spawn_blocking(move || backend.remove_instance_dir(id));
    }
}

pub(super) async fn write(store: &dyn claude_comms_store::Store, record: Instance) {
    let id = record.id;
    if let Err(error) = store.put_instance(record).await {
        tracing::error!(error = chain(&error), instance.id = %id, "instance record could not be written");
    }
}

/// How a process ended, for the record.
pub(crate) fn exit_record(exit: &ExitInfo) -> InstanceExit {
    let reason = match &exit.cause {
        ExitCause::Stopped => "stopped".to_owned(),
        ExitCause::Crashed => "crashed".to_owned(),
        ExitCause::Killed => "killed".to_owned(),
        ExitCause::Protocol(what) => format!("protocol: {what}"),
        ExitCause::Stalled(what) => format!("stalled: {what}"),
    };
    InstanceExit { code: exit.code, reason, stderr: exit.stderr.clone(), time: now() }
}
