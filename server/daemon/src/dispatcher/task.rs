//! The dispatcher's loop: one message, one change, then whoever can run is started.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use claude_comms_model::{
    CancelReason, ConversationId, Failure, Instance, InstanceId, Timestamp, Turn, TurnId,
};
use claude_comms_store::Store;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Command, LeaseReport, Load, NewTurn,
    admission::Pace,
    cancelled,
    command::Reply,
    control::Waiting,
    instances::Starting,
    lines::{Lines, Slot},
    options::Options,
    places::Telling,
    spares::Spares,
};
use crate::{
    backend::Backend,
    budget::Budgets,
    condition::BackendCondition,
    config::{Config, Settings},
    hub::EventHub,
    live::{Ending, LiveEvent, LiveTurn},
    memory::Memory,
    pair::Pair,
    pool::Pool,
    telemetry::Figures,
    turn::{self, Begin, TurnTask},
};

pub(super) struct DispatcherTask {
    pub(super) options: Options,
    pub(super) changes: watch::Receiver<Arc<Config>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) hub: EventHub,
    pub(super) tracker: TaskTracker,
    commands: mpsc::WeakSender<Command>,
    pub(super) lines: Lines,
    /// When those who wait are told of their place.
    pub(super) telling: Telling,
    /// How fast turns end.
    pub(super) pace: Pace,
    pub(super) pool: Pool,
    /// What became of spares.
    pub(super) spares: Spares,
    /// Starts that wait for a slot.
    pub(super) starting: Vec<Starting>,
    /// Who waits for an instance's end.
    pub(super) stopping: Vec<(InstanceId, Reply<super::InstanceView>)>,
    /// Who waits for what else was asked of instances.
    pub(super) waiting: Waiting,
    /// Who waits for the end of everything, once that has begun.
    pub(super) draining: Option<Vec<oneshot::Sender<()>>>,
    /// Ends the starts of processes that nobody waits for any more.
    pub(super) launches: CancellationToken,
    /// Messages to itself that come later; gone with the task.
    timers: JoinSet<()>,
    pub(super) figures: Figures,
    pub(super) memory: watch::Receiver<Memory>,
    pub(super) condition: BackendCondition,
    budgets: Budgets,
}

impl DispatcherTask {
    pub(super) fn new(
        settings: &Settings,
        store: Arc<dyn Store>,
        backend: Arc<dyn Backend>,
        hub: EventHub,
        tracker: TaskTracker,
        (memory, condition, budgets): (watch::Receiver<Memory>, BackendCondition, Budgets),
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        // Before they are read: no change is missed.
        let changes = settings.subscribe();
        let options = Options::of(&settings.now());
        let mut pool = Pool::new(options.max_instances);
        pool.set_limits(options.room.clone());
        hub.monitor().board().set_slots(options.max_instances);
        hub.monitor().board().watch_memory(memory.clone());
        Self {
            options,
            changes,
            store,
            backend,
            hub,
            tracker,
            commands,
            lines: Lines::default(),
            telling: Telling::default(),
            pace: Pace::default(),
            pool,
            spares: Spares::default(),
            starting: Vec::new(),
            stopping: Vec::new(),
            waiting: Waiting::default(),
            draining: None,
            launches: CancellationToken::new(),
            timers: JoinSet::new(),
            figures: condition.figures().clone(),
            memory,
            condition,
            budgets,
        }
    }

    pub(super) async fn run(mut self, mut mailbox: mpsc::Receiver<Command>) {
        self.try_spares_again();
        self.memory_changed();
        let mut reclaim = tokio::time::interval(self.options.reclaim_period());
        loop {
            tokio::select! {
                command = mailbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                _ = reclaim.tick() => {
                    self.recycle_due();
                    self.check_spares();
                    self.reclaim_idle();
                }
                () = until(self.places_due()) => {}
                Ok(()) = self.memory.changed() => self.memory_changed(),
                Ok(()) = self.changes.changed() => {
                    self.reconfigure();
                    reclaim = tokio::time::interval(self.options.reclaim_period());
                }
            }
            self.pump();
            self.finish_drain();
            self.tell_places();
            self.tend_spares();
            self.show();
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Submit(turn, reply) => self.submit(*turn, reply),
            Command::Recover(turn, pair, live, reply) => {
                self.recover(*turn, pair, live);
                let _ = reply.send(());
            }
            Command::Restore(record, pair, reply) => {
                self.restore(*record, pair);
                let _ = reply.send(());
            }
            Command::StartInstance(new, reply) => self.start_instance(*new, reply),
            Command::StopInstance(id, now, reply) => self.stop_instance(id, now, reply),
            Command::PauseInstance(id, reply) => self.pause_instance(id, reply),
            Command::ResumeInstance(id, reply) => self.resume_instance(id, reply),
            Command::InterruptInstance(id, reply) => self.interrupt_instance(id, reply),
            Command::FindInstance(name, reply) => {
                let _ = reply.send(self.find(&name));
            }
            Command::Instances(reply) => {
                let _ = reply.send(self.views());
            }
            Command::Load(reply) => {
                let _ = reply.send(self.load());
            }
            Command::Vitals(reply) => {
                let _ = reply.send(self.watched());
            }
            Command::Weighed(id, process_id, bytes) => self.weighed(id, process_id, bytes),
            Command::Checked(id, finding) => self.checked(id, *finding),
            Command::Drain(grace, reply) => self.drain(grace, reply),
            Command::TurnDone(turn, conversation) => {
                if let Some(took) = self.lines.remove(turn, conversation) {
                    self.pace.ended(took, Instant::now());
                }
            }
            Command::Returned(id, report) => self.returned(id, *report),
            Command::ProcessStarted(id, running) => self.process_started(id, &running),
            Command::InstanceReady(id, running, reply) => self.instance_ready(id, *running, reply),
            Command::InstanceFailed(id, refused, reply) => self.instance_failed(id, refused, reply),
            Command::Spare(news) => self.hear_of_spare(news),
            Command::ProcessGone(id, process_id, exit) => self.process_gone(id, process_id, exit),
            Command::ProcessTold(id, froze) => self.process_told(id, froze),
            Command::Stopped(id, exit) => self.stopped(id, exit),
            Command::StopGraceOver(id) => self.cancel_running(id),
            Command::StartsSettle => self.lines.crowd(false),
            Command::DrainGraceOver => self.cancel_all(),
        }
    }

    /// A strong sender. `None` only while the last handle is being dropped, when nobody waits for an answer any more.
    pub(super) fn commands(&self) -> Option<mpsc::Sender<Command>> {
        self.commands.upgrade()
    }

    /// Tells the task something after a while. The timer holds no strong sender, so that it keeps nothing alive.
    pub(super) fn later(&mut self, after: Duration, command: Command) {
        while self.timers.try_join_next().is_some() {}
        let commands = self.commands.clone();
        self.timers.spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(command).await;
            }
        });
    }

    fn submit(&mut self, new: NewTurn, reply: Reply<super::Submitted>) {
        let pair = Pair::of(&new.conversation);
        if let Some(refused) = self.refusal(&new, &pair) {
            let _ = reply.send(Err(refused));
            return;
        }
        let id = TurnId(Uuid::now_v7());
        let live = LiveTurn::new(id, new.conversation.id);
        let begin = Begin::Accept { new: Box::new(new), reply };
        self.enqueue(id, pair, live, begin);
    }

    fn recover(&mut self, turn: Turn, pair: Pair, live: Arc<LiveTurn>) {
        let id = turn.id;
        self.enqueue(id, pair, live, Begin::Recovered { turn: Box::new(turn) });
    }

    /// Puts a turn in its line and starts its task, with an instance if there is one for it at once.
    fn enqueue(&mut self, id: TurnId, pair: Pair, live: Arc<LiveTurn>, begin: Begin) {
        let Some(commands) = self.commands() else { return };
        let (conversation, target) = begin.place();
        let (grant, granted) = oneshot::channel();
        let mut slot = Slot::new(conversation, target, pair, Arc::clone(&live), grant);
        slot.fits_spare = begin.is_fresh(self.options.default_model.as_deref());
        let position = self.lines.push(id, slot);
        self.hub.insert(Arc::clone(&live));
        if position == 0 {
            self.pump();
        }
        if self.lines.slots.get(&id).is_some_and(|slot| slot.grant.is_some()) {
            let place = self.lines.place_of_new(id, position, |pair| self.pool.has_room_for(pair));
            live.push(LiveEvent::Queued(place));
            if let Some(slot) = self.lines.slots.get_mut(&id) {
                slot.told = Some(place);
            }
        }
        let task = TurnTask {
            id,
            live,
            store: Arc::clone(&self.store),
            backend: Arc::clone(&self.backend),
            hub: self.hub.clone(),
            commands,
            granted,
            retry: self.options.retry.clone(),
            token_budget: self.options.token_budget,
            condition: self.condition.clone(),
            silence_timeout: self.options.silence_timeout,
            tracker: self.tracker.clone(),
            figures: self.figures.clone(),
            asker: begin.asker(),
            budgets: self.budgets.clone(),
            account: None,
        };
        turn::spawn(task, begin);
    }

    pub(super) fn new_record(&self, conversation: ConversationId) -> Instance {
        let now = now();
        Instance {
            id: InstanceId(Uuid::now_v7()),
            name: String::new(),
            backend: self.backend.name().to_owned(),
            model: None,
            conversation_id: conversation,
            pinned: false,
            stopped: false,
            server_id: self.store.server().id,
            process_generation: 0,
            turn_count: 0,
            usage: claude_comms_model::Usage::default(),
            cost_usd: 0.0,
            create_time: now,
            last_active_time: now,
            exit: None,
        }
    }

    fn reclaim_idle(&mut self) {
        let Some(before) = Instant::now().checked_sub(self.options.idle_timeout) else { return };
        for id in self.pool.idle_since(before) {
            self.figures.instance_evicted("idle");
            self.begin_stop(id);
        }
    }

    fn returned(&mut self, id: InstanceId, report: LeaseReport) {
        let LeaseReport { running, exit, turn } = report;
        if let Some((usage, cost_usd)) = turn {
            self.pool.count_turn(id, usage, cost_usd, now());
        }
        self.take_back(id, running, exit);
        self.answer_interrupts(id);
    }

    pub(super) fn cancel_running(&mut self, id: InstanceId) {
        self.cancel_turn_of(id, cancelled(CancelReason::InstanceStopped, "its instance was stopped"));
    }

    /// Asks for the end of the turn that an instance runs.
    pub(super) fn cancel_turn_of(&self, id: InstanceId, why: Failure<CancelReason>) {
        self.end_turn_of(id, &Ending::Cancel(why));
    }

    /// As [`Self::cancel_turn_of`], with another end.
    pub(super) fn end_turn_of(&self, id: InstanceId, how: &Ending) {
        for slot in self.lines.slots.values().filter(|slot| slot.instance == Some(id)) {
            slot.live.request_end(how.clone());
        }
    }

    fn load(&self) -> Load {
        Load {
            running: self.lines.running(),
            queued: self.lines.queued(),
            instances: self.pool.len(),
            draining: self.draining.is_some(),
            memory: *self.memory.borrow(),
            modules: self.module_loads(),
        }
    }
}

/// Resolves at a time, if there is one.
async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
