//! The conversations' lines: one turn in front, the others behind it in order.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use claude_comms_model::{ConversationId, InstanceId, TurnId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{Command, LeaseReport};
use crate::{
    backend::Running,
    live::{LiveEvent, LiveTurn},
};

/// The sole right to drive an instance. Given back with [`Lease::give_back`]; one that is dropped (its task died) ends
/// the process.
#[derive(Debug)]
pub(crate) struct Lease {
    pub instance_id: InstanceId,
    pub model: Option<String>,
    pub running: Option<Running>,
    commands: Option<mpsc::Sender<Command>>,
    tracker: TaskTracker,
}

impl Lease {
    pub(crate) fn new(
        instance_id: InstanceId,
        model: Option<String>,
        running: Option<Running>,
        commands: mpsc::Sender<Command>,
        tracker: TaskTracker,
    ) -> Self {
        Self { instance_id, model, running, commands: Some(commands), tracker }
    }

    /// Tells that the holder started a process for it.
    pub(crate) async fn process_started(&self, running: &Running) {
        if let Some(commands) = &self.commands {
            // The task outlives the leases; if it is gone the server is too.
            let _ = commands.send(Command::ProcessStarted(self.instance_id, Box::new(running.clone()))).await;
        }
    }

    /// Takes apart a lease that nobody has taken.
    pub(super) fn untaken(mut self) -> (InstanceId, Option<Running>) {
        self.commands = None;
        (self.instance_id, self.running.take())
    }

    /// Gives it back.
    pub(crate) async fn give_back(mut self, mut report: LeaseReport) {
        report.running = self.running.take();
        if let Some(commands) = self.commands.take() {
            let _ = commands.send(Command::Returned(self.instance_id, Box::new(report))).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.take() {
            let command = Command::Returned(self.instance_id, Box::default());
            if let Err(mpsc::error::TrySendError::Full(command)) = commands.try_send(command) {
                self.tracker.spawn(async move {
                    let _ = commands.send(command).await;
                });
            }
        }
    }
}

/// A turn that has not ended.
#[derive(Debug)]
pub(crate) struct Slot {
    pub conversation: ConversationId,
    pub target: Option<InstanceId>,
    pub live: Arc<LiveTurn>,
    /// Where its task waits for a lease; `None` once it has one.
    pub grant: Option<oneshot::Sender<Result<Lease, super::Refused>>>,
    /// The instance that runs it.
    pub instance: Option<InstanceId>,
}

/// Turns by conversation, in order.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: HashMap<ConversationId, VecDeque<TurnId>>,
    pub slots: HashMap<TurnId, Slot>,
    /// Turns in front of their line that have no instance yet, oldest first.
    pub ready: VecDeque<TurnId>,
    /// How many turns have an instance.
    granted: usize,
}

impl Lines {
    /// Puts a turn at the end of its conversation's line; returns how many are before it.
    pub(crate) fn push(&mut self, id: TurnId, slot: Slot) -> usize {
        let line = self.lines.entry(slot.conversation).or_default();
        let position = line.len();
        self.granted += usize::from(slot.grant.is_none());
        line.push_back(id);
        self.slots.insert(id, slot);
        position
    }

    /// Takes a turn out, wherever it is, and tells those behind it. A turn that is now in front becomes ready.
    pub(crate) fn remove(&mut self, id: TurnId, conversation: ConversationId) {
        if self.slots.remove(&id).is_some_and(|slot| slot.grant.is_none()) {
            self.granted -= 1;
        }
        self.ready.retain(|ready| *ready != id);
        let Some(line) = self.lines.get_mut(&conversation) else { return };
        let Some(place) = line.iter().position(|turn| *turn == id) else { return };
        line.remove(place);
        if line.is_empty() {
            self.lines.remove(&conversation);
            return;
        }
        for (position, turn) in line.iter().enumerate().skip(place) {
            let Some(slot) = self.slots.get(turn) else { continue };
            if slot.grant.is_some() {
                slot.live.push(LiveEvent::Queued { position: u32::try_from(position).unwrap_or(u32::MAX) });
            }
        }
        if place == 0
            && let Some(front) = line.front()
            && self.slots.get(front).is_some_and(|slot| slot.grant.is_some())
        {
            self.ready.push_back(*front);
        }
    }

    /// Gives a waiting turn its instance. Returns the lease if the turn has just ended and does not take it.
    pub(crate) fn grant(&mut self, id: TurnId, lease: Lease) -> Option<Lease> {
        self.ready.retain(|ready| *ready != id);
        let Some(slot) = self.slots.get_mut(&id) else { return Some(lease) };
        let Some(grant) = slot.grant.take() else { return Some(lease) };
        self.granted += 1;
        slot.instance = Some(lease.instance_id);
        grant.send(Ok(lease)).err().and_then(Result::ok)
    }

    /// Tells a waiting turn that it will never get an instance.
    pub(crate) fn refuse(&mut self, id: TurnId, why: super::Refused) {
        self.ready.retain(|ready| *ready != id);
        if let Some(grant) = self.slots.get_mut(&id).and_then(|slot| slot.grant.take()) {
            self.granted += 1;
            let _ = grant.send(Err(why));
        }
    }

    /// Whether a new turn of the conversation would have others before it.
    pub(crate) fn has_turns(&self, conversation: ConversationId) -> bool {
        self.lines.contains_key(&conversation)
    }

    /// Turns that have an instance.
    pub(crate) fn running(&self) -> usize {
        self.granted
    }

    /// Turns that wait.
    pub(crate) fn queued(&self) -> usize {
        self.slots.len() - self.running()
    }
}
