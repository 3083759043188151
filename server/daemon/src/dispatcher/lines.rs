//! The conversations' lines: one turn in front, the others behind it in order. Those in front are sorted by what they need:
//! who has an instance waits for that alone, who needs a slot waits in the fair order.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use claude_comms_model::{ConversationId, InstanceId, TurnId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{Claim, Command, LeaseReport, fair::Fair, modules::PairTurns, spares::SpareNews};
use crate::{
    backend::Running,
    live::{LiveTurn, Place, WaitsFor},
    pair::{Name, Pair},
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

    /// Tells what came of the claim of its parked process.
    pub(crate) async fn claimed(&self, outcome: Claim) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(Command::Spare(SpareNews::Claimed(outcome))).await;
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
    /// Between whom it is.
    pub pair: Pair,
    pub live: Arc<LiveTurn>,
    /// Whether a spare could serve it: nothing is to be remembered, and the model is the default one.
    pub fits_spare: bool,
    /// Where its task waits for a lease; `None` once it has one.
    pub grant: Option<oneshot::Sender<Result<Lease, super::Refused>>>,
    /// The instance that runs it.
    pub instance: Option<InstanceId>,
    /// Since when.
    granted: Option<Instant>,
    /// The instance that it waits for.
    bound: Option<InstanceId>,
    /// Whether that has no process and none may be started.
    pub cold: bool,
    /// What was told of its place.
    pub told: Option<Place>,
}

impl Slot {
    pub(crate) fn new(
        conversation: ConversationId,
        target: Option<InstanceId>,
        pair: Pair,
        live: Arc<LiveTurn>,
        grant: oneshot::Sender<Result<Lease, super::Refused>>,
    ) -> Self {
        Self {
            conversation,
            target,
            pair,
            live,
            fits_spare: false,
            grant: Some(grant),
            instance: None,
            granted: None,
            bound: None,
            cold: false,
            told: None,
        }
    }
}

/// How many turns a module that asks has here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Of these, how many wait.
    pub queued: usize,
    /// All.
    pub all: usize,
}

/// Turns by conversation, in order.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(super) lines: HashMap<ConversationId, VecDeque<TurnId>>,
    pub slots: HashMap<TurnId, Slot>,
    /// In front of their line, to be looked at: they are new there, or something changed for them.
    fresh: VecDeque<TurnId>,
    /// In front, and need a slot.
    pub(super) fair: Fair<TurnId>,
    /// In front, and wait for the instance that they must have.
    pub(super) bound: HashMap<InstanceId, TurnId>,
    shares: HashMap<Name, Share>,
    of_pairs: HashMap<Pair, PairTurns>,
    /// How many turns have an instance.
    granted: usize,
    /// Why no process may be started, if none may.
    pub(super) held: Option<WaitsFor>,
    /// No process may be started until those that start have the memory they take.
    pub(super) crowded: bool,
    /// Whether somebody's place may be another than what was told.
    pub(super) moved: bool,
}

impl Lines {
    /// Puts a turn at the end of its conversation's line; returns how many are before it.
    pub(crate) fn push(&mut self, id: TurnId, slot: Slot) -> usize {
        let line = self.lines.entry(slot.conversation).or_default();
        let position = line.len();
        line.push_back(id);
        let share = self.shares.entry(Name::clone(&slot.pair.source)).or_default();
        *share = Share { queued: share.queued + 1, all: share.all + 1 };
        self.of_pairs.entry(slot.pair.clone()).or_default().queued += 1;
        self.moved = true;
        self.slots.insert(id, slot);
        if position == 0 {
            self.fresh.push_back(id);
        }
        position
    }

    /// Takes a turn out, wherever it is. One that is now in front is looked at next. Returns how long it had its instance.
    pub(crate) fn remove(&mut self, id: TurnId, conversation: ConversationId) -> Option<Duration> {
        let slot = self.slots.remove(&id);
        let mut ran = None;
        if let Some(slot) = slot {
            self.fair.remove(id);
            if let Some(instance) = slot.bound {
                self.bound.remove(&instance);
            }
            let queued = slot.grant.is_some();
            self.granted -= usize::from(!queued);
            ran = slot.granted.filter(|_| slot.instance.is_some()).map(|since| since.elapsed());
            if let Some(turns) = self.of_pairs.get_mut(&slot.pair) {
                *(if queued { &mut turns.queued } else { &mut turns.running }) -= 1;
                if *turns == PairTurns::default() {
                    self.of_pairs.remove(&slot.pair);
                }
            }
            if let Some(share) = self.shares.get_mut(&slot.pair.source) {
                share.all -= 1;
                share.queued -= usize::from(queued);
                if share.all == 0 {
                    self.shares.remove(&slot.pair.source);
                }
            }
        }
        self.moved = true;
        let Some(line) = self.lines.get_mut(&conversation) else { return ran };
        let Some(place) = line.iter().position(|turn| *turn == id) else { return ran };
        line.remove(place);
        match line.front() {
            None => {
                self.lines.remove(&conversation);
            }
            Some(front) if place == 0 => self.fresh.push_back(*front),
            Some(_) => {}
        }
        ran
    }

    /// One that is to be looked at: it is in front of its line and waits.
    pub(crate) fn next_fresh(&mut self) -> Option<TurnId> {
        while let Some(id) = self.fresh.pop_front() {
            if self.slots.get(&id).is_some_and(|slot| slot.grant.is_some()) {
                return Some(id);
            }
        }
        None
    }

    /// Something changed for an instance: who waits for it, or could use it, is looked at.
    pub(crate) fn stirred(&mut self, instance: InstanceId, conversation: Option<ConversationId>) {
        let front = conversation.and_then(|id| self.lines.get(&id)).and_then(VecDeque::front).copied();
        let bound = self.bound.get(&instance).copied();
        self.fresh.extend(bound.into_iter().chain(front.filter(|front| bound != Some(*front))));
    }

    /// A turn in front waits for this instance.
    pub(crate) fn wait_for(&mut self, id: TurnId, instance: InstanceId) {
        self.fair.remove(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.cold = false;
        if slot.bound.replace(instance) != Some(instance) {
            self.moved = true;
        }
        self.bound.insert(instance, id);
    }

    /// Processes may not be started any more, or may again.
    pub(crate) fn hold(&mut self, why: Option<WaitsFor>) {
        self.held = why;
        self.moved = true;
        self.fresh.extend(self.bound.values());
    }

    /// Those that start may take what memory there is, or it is to be looked again whether they do.
    pub(crate) fn crowd(&mut self, crowded: bool) {
        self.crowded = crowded;
        self.moved = true;
        if !crowded {
            self.fresh.extend(self.bound.values());
        }
    }

    /// Why no process may be started now.
    pub(super) fn no_start(&self) -> Option<WaitsFor> {
        self.held.or(self.crowded.then_some(WaitsFor::Memory))
    }

    /// A turn in front waits for a slot.
    pub(crate) fn wait_for_slot(&mut self, id: TurnId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if let Some(instance) = slot.bound.take() {
            self.bound.remove(&instance);
        }
        if !self.fair.contains(id) {
            self.fair.push(id, &slot.pair);
            self.moved = true;
        }
    }

    /// Gives a waiting turn its instance. Returns the lease if the turn has just ended and does not take it.
    pub(crate) fn grant(&mut self, id: TurnId, lease: Lease) -> Option<Lease> {
        let instance = lease.instance_id;
        let Some(grant) = self.settle(id) else { return Some(lease) };
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.instance = Some(instance);
            slot.granted = Some(Instant::now());
        }
        grant.send(Ok(lease)).err().and_then(Result::ok)
    }

    /// Tells a waiting turn that it will never get an instance.
    pub(crate) fn refuse(&mut self, id: TurnId, why: super::Refused) {
        self.fair.remove(id);
        if let Some(grant) = self.settle(id) {
            let _ = grant.send(Err(why));
        }
    }

    /// A turn waits no more.
    fn settle(&mut self, id: TurnId) -> Option<oneshot::Sender<Result<Lease, super::Refused>>> {
        self.fair.serve(id);
        let slot = self.slots.get_mut(&id)?;
        if let Some(instance) = slot.bound.take() {
            self.bound.remove(&instance);
        }
        let grant = slot.grant.take()?;
        self.granted += 1;
        if let Some(share) = self.shares.get_mut(&slot.pair.source) {
            share.queued -= 1;
        }
        if let Some(turns) = self.of_pairs.get_mut(&slot.pair) {
            turns.queued -= 1;
            turns.running += 1;
        }
        self.moved = true;
        Some(grant)
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

    /// How many turns each pair of modules has here.
    pub(super) fn turns_of_pairs(&self) -> &HashMap<Pair, PairTurns> {
        &self.of_pairs
    }

    /// What a module that asks has here, and how many modules have something, itself included.
    pub(crate) fn share(&self, source: &Name) -> (Share, usize) {
        let share = self.shares.get(source).copied();
        (share.unwrap_or_default(), self.shares.len() + usize::from(share.is_none()))
    }
}
