//! One turn, from its acceptance to its one terminal record. Each turn is a task of its own; it drives an instance only
//! while it holds its lease. Commit first, tell second.

mod answer;
mod drive;
mod end;
mod exchange;
mod process;
mod rebuild;
mod repair;
mod retries;
mod spare;

pub(crate) use answer::{Demand, Verdict};

use std::{sync::Arc, time::Duration};

use claude_comms_model::{
    CancelReason, Conversation, ConversationId, EventKind, Failure, FailureReason, InstanceId, Timestamp,
    Transition, Turn, TurnId, TurnState,
};
use claude_comms_store::{AcceptOutcome, AcceptTurn, StartTurn, Store, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use self::{drive::Drive, end::End};
use crate::{
    backend::{Backend, chain},
    budget::{Account, Budgets, Caps, Exceeded},
    condition::BackendCondition,
    dispatcher::{Command, Lease, LeaseReport, NewTurn, Refused, Submitted},
    hub::EventHub,
    live::{LiveTurn, wanted},
    telemetry::{Asker, Figures, call::Origin, trace},
};

/// How a turn comes into this server's hands.
#[derive(Debug)]
pub(crate) enum Begin {
    /// It is new.
    Accept {
        /// What was asked.
        new: Box<NewTurn>,
        /// Who asked.
        reply: oneshot::Sender<Result<Submitted, Refused>>,
    },
    /// It was queued when the server was last stopped.
    Recovered {
        /// Its record.
        turn: Box<Turn>,
    },
}

impl Begin {
    /// Its conversation, and the instance that must run it.
    pub(crate) fn place(&self) -> (ConversationId, Option<InstanceId>) {
        match self {
            Self::Accept { new, .. } => (new.conversation.id, new.target),
            Self::Recovered { turn } => (turn.conversation_id, turn.target_instance),
        }
    }

    /// As [`NewTurn::is_fresh`]; of a recovered one nothing is known.
    pub(crate) fn is_fresh(&self, default_model: Option<&str>) -> bool {
        match self {
            Self::Accept { new, .. } => new.is_fresh(default_model),
            Self::Recovered { .. } => false,
        }
    }

    /// Between whom it is, as far as that is known without the store.
    pub(crate) fn asker(&self) -> Asker {
        match self {
            Self::Accept { new, .. } => Asker::of(&new.conversation, new.origin.clone()),
            Self::Recovered { .. } => Asker::default(),
        }
    }
}

/// How often a turn may be tried again, and when.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    /// Most attempts of a turn.
    pub max_attempts: u32,
    /// The longest pause before a retry.
    pub max_delay: Duration,
    /// Most retries of the whole server in a minute.
    pub budget: u32,
}

/// What a turn's task works with.
pub(crate) struct TurnTask {
    pub id: TurnId,
    pub live: Arc<LiveTurn>,
    pub store: Arc<dyn Store>,
    pub backend: Arc<dyn Backend>,
    pub hub: EventHub,
    pub commands: mpsc::Sender<Command>,
    pub granted: oneshot::Receiver<Result<Lease, Refused>>,
    pub retry: Retry,
    pub condition: BackendCondition,
    /// How long its process may say nothing.
    pub silence_timeout: Duration,
    /// Tokens that may be told again of a conversation whose memory is lost.
    pub token_budget: u32,
    pub tracker: TaskTracker,
    pub figures: Figures,
    pub asker: Asker,
    pub budgets: Budgets,
    /// Its account, once it is to run.
    pub account: Option<Account>,
}

/// Drives the turn to its end and lets its conversation's next one run. A bug that panics in it still ends the turn.
pub(crate) fn spawn(task: TurnTask, begin: Begin) {
    let (conversation, _) = begin.place();
    let (commands, hub, store) = (task.commands.clone(), task.hub.clone(), Arc::clone(&task.store));
    let (id, live) = (task.id, Arc::clone(&task.live));
    let span = trace::turn(id, conversation, &task.asker.parent());
    let (tracker, figures) = (task.tracker.clone(), task.figures.clone());
    let running = tracker.spawn(run(task, begin).instrument(span));
    tracker.spawn(async move {
        if running.await.is_err() {
            tracing::error!(turn.id = %id, "the turn's task panicked");
            end::internal(store.as_ref(), &hub, &figures, &live, id).await;
            leave(&hub, &live, id);
            let _ = commands.send(Command::TurnDone(id, conversation)).await;
        }
    });
}

async fn run(mut task: TurnTask, begin: Begin) {
    let (conversation, _) = begin.place();
    let lease = task.turn(begin).await;
    leave(&task.hub, &task.live, task.id);
    if let Some((lease, report)) = lease {
        lease.give_back(report).await;
    }
    // An instance that was granted while the turn ended in the queue goes back as it is.
    task.granted.close();
    if let Ok(Ok(lease)) = task.granted.try_recv() {
        lease.give_back(LeaseReport::default()).await;
    }
    let _ = task.commands.send(Command::TurnDone(task.id, conversation)).await;
}

/// Who does not find the turn in the hub any more finds its record in the store.
fn leave(hub: &EventHub, live: &LiveTurn, id: TurnId) {
    live.leave("the turn is in other hands");
    hub.remove(id);
}

type GivenBack = Option<(Lease, LeaseReport)>;

impl TurnTask {
    async fn turn(&mut self, begin: Begin) -> GivenBack {
        let (turn, conversation, lease, started) = match begin {
            Begin::Accept { new, reply } => match self.accept(*new, reply).await {
                Ok(accepted) => accepted,
                Err(lease) => return lease.map(|lease| (lease, LeaseReport::default())),
            },
            Begin::Recovered { turn } => match self.store.conversation(turn.conversation_id).await {
                Ok(Some(conversation)) => {
                    self.asker = Asker::of(&conversation, Origin::default());
                    (*turn, conversation, None, None)
                }
                Ok(None) | Err(_) => {
                    tracing::error!(turn.id = %self.id, "a queued turn's conversation cannot be read");
                    return None;
                }
            },
        };
        let deadline = deadline(&turn);
        let lease = match lease {
            Some(lease) => lease,
            None => match self.wait_for_instance(deadline).instrument(trace::queue()).await {
                Ok(lease) => lease,
                Err(Some(transition)) => {
                    self.finish(End::unstarted(turn.attempt, transition), turn.asked).await;
                    return None;
                }
                // The server lets go of the turn; it stays queued in the store.
                Err(None) => return None,
            },
        };
        let account = match self.account.take() {
            Some(account) => account,
            None => match self.late_account(&turn, &conversation).await {
                Ok(account) => account,
                Err(exceeded) => {
                    let (failure, partial_text) = (exceeded.failure(), String::new());
                    let transition = Transition::Fail { failure, partial_text };
                    self.finish(End::unstarted(turn.attempt, transition), turn.asked).await;
                    return Some((lease, LeaseReport::default()));
                }
            },
        };
        let span = trace::lease(lease.instance_id);
        Drive::new(self, turn, conversation, lease, deadline, account).run(started).instrument(span).await
    }

    /// The account of a turn that has waited: others of its conversation may have cost something meanwhile.
    async fn late_account(&self, turn: &Turn, conversation: &Conversation) -> Result<Account, Exceeded> {
        let caps = Caps::of(turn.asked.as_ref().map(|asked| asked.limits).unwrap_or_default());
        match self.store.conversation(conversation.id).await {
            Ok(Some(now)) => self.budgets.open(&now, caps),
            // Whatever keeps the store from answering ends the turn where it is to start.
            Ok(None) | Err(_) => self.budgets.open(conversation, caps),
        }
    }

    /// Makes the turn durable and answers who asked. With an idle process at hand, acceptance and start are one commit.
    async fn accept(
        &mut self,
        new: NewTurn,
        reply: oneshot::Sender<Result<Submitted, Refused>>,
    ) -> Result<(Turn, Conversation, Option<Lease>, Option<(Uuid, claude_comms_store::Lease)>), Option<Lease>>
    {
        let lease = match self.granted.try_recv() {
            Ok(Ok(lease)) => Some(lease),
            Ok(Err(refused)) => {
                let _ = reply.send(Err(refused));
                return Err(None);
            }
            Err(_) => None,
        };
        if lease.is_some() {
            let caps = Caps::of(new.asked.as_ref().map(|asked| asked.limits).unwrap_or_default());
            match self.budgets.open(&new.conversation, caps) {
                Ok(account) => self.account = Some(account),
                Err(exceeded) => {
                    let _ = reply.send(Err(Refused::BudgetExceeded(Box::new(exceeded))));
                    return Err(lease);
                }
            }
        }
        let user_uuid = Uuid::new_v4();
        let start = lease.as_ref().and_then(|lease| {
            let running = lease.running.as_ref()?;
            // A lost memory must be told before the turn starts: that takes the long way.
            // So must a process that was told an older context be replaced first.
            // And so must one that is on its way out.
            let ready = running.parked.is_none()
                && running.session_reset.is_none()
                && running.scene_revision == new.conversation.scene_revision
                && running.process.state().borrow().is_idle()
                // One that must wait for the account's limit does not run meanwhile.
                && self.condition.account_blocked().is_none();
            ready.then_some(StartTurn {
                instance_id: lease.instance_id,
                session_id: running.session_id,
                user_uuid,
            })
        });
        let asked = new.asked.clone();
        let accept = AcceptTurn {
            turn_id: self.id,
            conversation_id: new.conversation.id,
            new_conversation: new.new_conversation,
            seen_scene_revision: new.conversation.scene_revision,
            request_id: new.request_id,
            scope: new.scope,
            payload_hash: new.payload_hash,
            prompt: new.prompt,
            asked: new.asked,
            timeout_micros: u64::try_from(new.timeout.as_micros()).unwrap_or(u64::MAX),
            target_instance: new.target,
            start,
        };
        match self.store.accept_turn(accept).await {
            Ok(AcceptOutcome::Accepted(accepted)) => {
                self.figures.turn_accepted();
                self.live.publish(accepted.events);
                self.hub.announce(&self.live);
                let started = accepted.lease.map(|claim| (user_uuid, claim));
                if let (Some(lease), true) = (&lease, started.is_some()) {
                    self.hub.monitor().turn_started(lease.instance_id, &self.live, accepted.turn.attempt);
                }
                let _ = reply.send(Ok(Submitted::Live(Arc::clone(&self.live))));
                Ok((Turn { asked, ..accepted.turn }, new.conversation, lease, started))
            }
            Ok(AcceptOutcome::Same(turn)) => {
                let known = match self.hub.get(turn.id) {
                    Some(live) => Submitted::Live(live),
                    // It ended between the store's look and ours, or long ago.
                    None => match self.store.turn(turn.id).await {
                        Ok(Some(now)) => Submitted::Ended(Box::new(now)),
                        _ => Submitted::Ended(turn),
                    },
                };
                let _ = reply.send(Ok(known));
                Err(lease)
            }
            Ok(AcceptOutcome::SceneChanged) => {
                let _ = reply.send(Err(Refused::ContextChanged));
                Err(lease)
            }
            Ok(AcceptOutcome::OtherPayload(other)) => {
                let _ = reply.send(Err(Refused::RequestIdReused(other)));
                Err(lease)
            }
            Err(error) => {
                let _ = reply.send(Err(Refused::Store(error)));
                Err(lease)
            }
        }
    }

    /// Waits in the queue. `Err(Some)`: it ends there; `Err(None)`: the server shuts down.
    async fn wait_for_instance(&mut self, deadline: Instant) -> Result<Lease, Option<Transition>> {
        let mut endings = self.live.endings();
        let partial_text = String::new;
        tokio::select! {
            granted = &mut self.granted => match granted {
                Ok(Ok(lease)) => Ok(lease),
                Ok(Err(refused @ Refused::InstanceStopped(_))) => Err(Some(Transition::Cancel {
                    failure: Failure::new(CancelReason::InstanceStopped, refused.to_string()),
                    partial_text: partial_text(),
                })),
                Ok(Err(refused)) => Err(Some(Transition::Fail {
                    failure: Failure::new(FailureReason::AllInstancesPinned, refused.to_string()),
                    partial_text: partial_text(),
                })),
                Err(_) => Err(None),
            },
            wanted = wanted(&mut endings, false) => Err(Some(wanted.transition)),
            () = tokio::time::sleep_until(deadline) => Err(Some(Transition::Fail {
                failure: Failure::new(FailureReason::TurnTimeout, "its time was over before it could start"),
                partial_text: partial_text(),
            })),
        }
    }
}

/// When the turn's time is over, on the monotonic clock.
fn deadline(turn: &Turn) -> Instant {
    let now: Timestamp = std::time::SystemTime::now().into();
    let left = turn.deadline().since(now).min(Duration::from_secs(366 * 24 * 3600));
    Instant::now() + left
}

/// Whether a turn has ended, for who reads it from the store.
pub(crate) fn has_ended(turn: &Turn) -> bool {
    !matches!(turn.state, TurnState::Queued | TurnState::Running { .. })
}

/// The event for a text that is void.
pub(crate) fn reset_event(reason: claude_comms_stream_json::turn::ResetReason) -> EventKind {
    use claude_comms_model::ResetReason as R;
    use claude_comms_stream_json::turn::ResetReason as Cli;
    EventKind::TextReset {
        reason: match reason {
            Cli::Retry => R::Retry,
            Cli::ToolUse => R::ToolUse,
            Cli::Replaced => R::Replaced,
        },
    }
}

/// Words for a store that failed under a running turn.
pub(crate) fn store_failed(error: &StoreError) -> String {
    format!("the turn could not be recorded: {}", chain(error))
}
