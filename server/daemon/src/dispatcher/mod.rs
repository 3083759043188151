//! Who runs next. [`Dispatcher`] is the handle, its task owns the queue, the running turns and the pool: at most one
//! running turn a conversation is kept by its map, not by a lock. The queue's truth is the store; this is a cache of it.

mod admission;
mod command;
mod control;
mod drain;
mod fair;
mod health;
mod held;
mod instances;
mod lines;
mod memory;
mod modules;
mod options;
mod places;
mod pump;
mod recycle;
mod spares;
mod stop;
mod task;
mod telling;
mod view;

use std::{sync::Arc, time::Duration};

use claude_comms_model::{
    Asked, CancelReason, Conversation, ConversationId, Failure, Instance, InstanceId, InstanceState,
    RequestId, Turn, TurnId,
};
use claude_comms_store::{NewConversation, RequestScope, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

pub(crate) use command::{Command, LeaseReport};
pub use held::Held;
pub(crate) use instances::exit_record;
pub(crate) use lines::Lease;
pub(crate) use modules::ModuleLoad;
pub(crate) use spares::Claim;

use crate::{
    backend::{Backend, NotReady},
    budget::{Budgets, Exceeded},
    condition::BackendCondition,
    config::Settings,
    health::{Finding, Watched},
    hub::EventHub,
    live::LiveTurn,
    memory::{Memory, size},
    pair::Pair,
    telemetry::call::Origin,
};

/// Commands that may wait for the task. Full: senders wait.
const MAILBOX: usize = 1024;

/// A turn to run.
#[derive(Debug)]
pub struct NewTurn {
    /// Its conversation.
    pub conversation: Conversation,
    /// Set when the conversation is not in the store yet: it is made with the turn.
    pub new_conversation: Option<Box<NewConversation>>,
    /// The prompt.
    pub prompt: String,
    /// What was made of it, and what is demanded of the answer.
    pub asked: Option<Box<Asked>>,
    /// The request.
    pub request_id: RequestId,
    /// Within what its id is unique.
    pub scope: RequestScope,
    /// SHA-256 of its payload.
    pub payload_hash: String,
    /// Its time, queue included.
    pub timeout: Duration,
    /// The instance that must run it.
    pub target: Option<InstanceId>,
    /// The call that brought it.
    pub origin: Origin,
}

impl NewTurn {
    /// Whether a process could serve it that was started for nobody in particular: nothing is to be remembered, no instance
    /// and no model but the default one is asked for.
    pub(crate) fn is_fresh(&self, default_model: Option<&str>) -> bool {
        let Conversation { claude_session_id, model, .. } = &self.conversation;
        let usual = model.is_none() || model.as_deref() == default_model;
        self.target.is_none() && claude_session_id.is_none() && usual
    }
}

/// An instance to start.
#[derive(Debug)]
pub struct NewInstance {
    /// Its name; empty for none.
    pub name: String,
    /// Its model.
    pub model: Option<String>,
    /// The conversation that it serves; a new one is made when `make_conversation`.
    pub conversation: Conversation,
    /// Whether the conversation is not in the store yet.
    pub make_conversation: bool,
}

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The server takes no new turns.
    #[error("the server is shutting down and takes no new work")]
    Draining,
    /// Too many turns wait.
    #[error(
        "the queue is full: waiting turns: {queued}, {own} of them of this module; pool.max_queue ({max_queue}) is shared among {sources} that ask"
    )]
    QueueFull {
        /// How many wait.
        queued: usize,
        /// How many of those are of the module that asks.
        own: usize,
        /// How many may wait.
        max_queue: usize,
        /// Among how many modules that is shared.
        sources: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// There is too little memory to start a process.
    #[error(
        "memory is short: {} free, less than the {} of pool.memory_reserve; no process is started until there is more",
        size(*.free), size(*.reserve)
    )]
    MemoryPressure {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are kept free.
        reserve: u64,
        /// When to come back.
        retry_after: Duration,
    },
    /// A budget leaves no room for it.
    #[error("{0}")]
    BudgetExceeded(Box<Exceeded>),
    /// No slot will ever be free.
    #[error("{0}")]
    AllInstancesPinned(Held),
    /// Processes die one after the other: none is started for now.
    #[error("the backend fails: {} processes were lost one after the other, and none is started for now; the last one: {}; `claude-comms status` has what it said", .0.failures, .0.cause)]
    BackendFailing(Box<crate::condition::View>),
    /// The backend cannot take turns.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The name is in use.
    #[error("an instance named {0} is running; choose another name, or stop it")]
    NameTaken(String),
    /// There is no such instance.
    #[error("there is no instance {0}")]
    NoSuchInstance(String),
    /// The instance takes no turns any more.
    #[error("instance {0} is stopped; its conversation goes on: send to that instead")]
    InstanceStopped(InstanceId),
    /// The instance is paused: turns wait, and no new ones are taken.
    #[error("instance {0} is paused; resume it first")]
    InstancePaused(InstanceId),
    /// The instance runs no turn that could be interrupted.
    #[error("instance {0} runs no turn")]
    InstanceNotBusy(InstanceId),
    /// The instance has no conversation yet.
    #[error("instance {0} is a spare: it has no conversation, and can only be stopped")]
    InstanceIsSpare(InstanceId),
    /// The instance has ended, or is ending, and cannot be paused, resumed or interrupted.
    #[error("instance {0} is stopped, for good")]
    InstanceEnded(InstanceId),
    /// The conversation has an instance of its own.
    #[error("conversation {0} is served by instance {1}; stop that one first")]
    ConversationServed(ConversationId, InstanceId),
    /// Somebody else is starting an instance for the conversation.
    #[error("an instance is already being started for conversation {0}")]
    ConversationStarting(ConversationId),
    /// The instance serves another conversation.
    #[error("instance {0} serves another conversation")]
    OtherConversation(InstanceId),
    /// The conversation's context was made anew while the message was made from the old one.
    #[error("the conversation's context was made anew in the same moment; try again")]
    ContextChanged,
    /// The request's id was used with another payload.
    #[error("request_id was used before, with another payload, for turn {0}")]
    RequestIdReused(TurnId),
    /// The process could not be started.
    #[error("the process could not be started: {0}")]
    SpawnFailed(String),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dispatcher is gone, or a task of it died.
    #[error("the server is not running any more")]
    Gone,
}

/// What became of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The turn is in this server's hands and can be watched.
    Live(Arc<LiveTurn>),
    /// The same request has already ended as this turn.
    Ended(Box<Turn>),
}

/// An instance as it is now.
#[derive(Debug, Clone)]
pub struct InstanceView {
    /// Its record.
    pub record: Instance,
    /// What it is doing.
    pub state: InstanceState,
    /// Its process; 0 without one.
    pub process_id: u32,
    /// How its process was when it was last checked.
    pub health: Option<Finding>,
    /// Whether it pauses once its turn has ended.
    pub pause_pending: bool,
    /// Whether no conversation has it yet.
    pub spare: bool,
}

/// What the dispatcher is doing.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Turns that run.
    pub running: usize,
    /// Turns that wait.
    pub queued: usize,
    /// Slots taken.
    pub instances: usize,
    /// No new turns.
    pub draining: bool,
    /// How memory stands.
    pub(crate) memory: Memory,
    /// What each pair of modules has.
    pub(crate) modules: Vec<ModuleLoad>,
}

/// The handle; cheap to clone. When the last one is dropped the task ends.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    commands: mpsc::Sender<Command>,
}

impl Dispatcher {
    /// Starts the task.
    pub(crate) fn start(
        settings: &Settings,
        store: Arc<dyn Store>,
        backend: Arc<dyn Backend>,
        hub: EventHub,
        tracker: TaskTracker,
        memory: watch::Receiver<Memory>,
        (condition, budgets): (BackendCondition, Budgets),
    ) -> Self {
        let (commands, mailbox) = mpsc::channel(MAILBOX);
        let task = task::DispatcherTask::new(
            settings,
            store,
            backend,
            hub,
            tracker.clone(),
            (memory, condition, budgets),
            commands.downgrade(),
        );
        tracker.spawn(task.run(mailbox));
        Self { commands }
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(make(reply)).await.map_err(|_| Refused::Gone)?;
        answer.await.map_err(|_| Refused::Gone)
    }

    /// Accepts a turn: when this returns it is durable.
    ///
    /// # Errors
    /// [`Refused`]; nothing was written then, but for a [`StoreError::Unknown`].
    pub async fn submit(&self, turn: NewTurn) -> Result<Submitted, Refused> {
        self.ask(|reply| Command::Submit(Box::new(turn), reply)).await?
    }

    /// Takes up a queued turn from the store, at boot.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub(crate) async fn recover(&self, turn: Turn, pair: Pair, live: Arc<LiveTurn>) -> Result<(), Refused> {
        self.ask(|reply| Command::Recover(Box::new(turn), pair, live, reply)).await
    }

    /// Puts a pinned instance of an earlier run in, at boot.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub(crate) async fn restore(&self, record: Instance, pair: Pair) -> Result<(), Refused> {
        self.ask(|reply| Command::Restore(Box::new(record), pair, reply)).await
    }

    /// Starts a pinned instance.
    ///
    /// # Errors
    /// [`Refused`]; nothing is left running.
    pub async fn start_instance(&self, new: NewInstance) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::StartInstance(Box::new(new), reply)).await?
    }

    /// Ends an instance; returns when its process is gone.
    ///
    /// # Errors
    /// [`Refused::NoSuchInstance`].
    pub async fn stop_instance(&self, id: InstanceId, now: bool) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::StopInstance(id, now, reply)).await?
    }

    /// Pauses an instance. When this returns its process is stopped, or, where it runs a turn, will be after that.
    ///
    /// # Errors
    /// [`Refused::NoSuchInstance`], [`Refused::InstanceEnded`], [`Refused::Draining`].
    pub async fn pause_instance(&self, id: InstanceId) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::PauseInstance(id, reply)).await?
    }

    /// Takes a pause back, also one that has not begun; what waited goes on.
    ///
    /// # Errors
    /// As [`Self::pause_instance`].
    pub async fn resume_instance(&self, id: InstanceId) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::ResumeInstance(id, reply)).await?
    }

    /// Ends the turn that an instance runs; returns when that end is durable. The process stays.
    ///
    /// # Errors
    /// [`Refused::NoSuchInstance`], [`Refused::InstanceNotBusy`], [`Refused::InstanceEnded`].
    pub async fn interrupt_instance(&self, id: InstanceId) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::InterruptInstance(id, reply)).await?
    }

    /// All instances, the stopped ones included that are remembered, oldest first.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub async fn instances(&self) -> Result<Vec<InstanceView>, Refused> {
        self.ask(Command::Instances).await
    }

    /// An instance by id or name; of stopped ones with that name the newest.
    ///
    /// # Errors
    /// [`Refused::NoSuchInstance`].
    pub async fn find_instance(&self, text: &str) -> Result<InstanceView, Refused> {
        self.ask(|reply| Command::FindInstance(text.to_owned(), reply)).await?
    }

    /// What is going on.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub async fn load(&self) -> Result<Load, Refused> {
        self.ask(Command::Load).await
    }

    /// The processes to be checked.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub(crate) async fn vitals(&self) -> Result<Vec<Watched>, Refused> {
        self.ask(Command::Vitals).await
    }

    /// What was found of an instance's process.
    pub(crate) async fn checked(&self, id: InstanceId, finding: Finding) {
        // Gone with the server, which nobody asks about its instances any more.
        let _ = self.commands.send(Command::Checked(id, Box::new(finding))).await;
    }

    /// Takes no new turns, lets the running ones end for as long as `grace`, then cancels them; ends every process. Turns
    /// that wait stay queued in the store. What is returned resolves when all is done. Again: a shorter grace counts.
    ///
    /// # Errors
    /// [`Refused::Gone`].
    pub(crate) async fn begin_drain(&self, grace: Duration) -> Result<oneshot::Receiver<()>, Refused> {
        let (reply, done) = oneshot::channel();
        self.commands.send(Command::Drain(grace, reply)).await.map_err(|_| Refused::Gone)?;
        Ok(done)
    }
}

/// Words for a cancellation.
pub(crate) fn cancelled(reason: CancelReason, message: &str) -> Failure<CancelReason> {
    Failure::new(reason, message)
}
