//! How many spares there are: made while a slot is free beyond what waits, replaced when they are used, old or made from
//! other settings, given up where the program cannot wait to be told who it is.

use std::time::{Duration, Instant};

use claude_comms_model::{
    ConversationId, InstanceExit, InstanceId, InstanceState, TurnId, instance::InstanceEvent,
};
use uuid::Uuid;

use super::{
    Command, Refused,
    task::{DispatcherTask, now},
};
use crate::{
    backend::{LaunchMark, Running, StartError, chain},
    pool::Tenure,
};

/// Spares in a row that end by themselves or cannot be claimed, before there are no more.
const UNFIT: u32 = 2;
/// A spare that lived so long did not end because it was left waiting.
const SETTLED: Duration = Duration::from_secs(60);
/// The longest pause after spares that could not be started.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is wanted of spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpareOptions {
    /// How many.
    pub count: usize,
    /// How long one waits before it is replaced.
    pub max_age: Duration,
    /// Least time between two starts that nobody waits for.
    pub stagger: Duration,
}

/// What became of spares.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// Before this none is started.
    not_before: Option<Instant>,
    /// Somebody will look again then.
    will_look: bool,
    /// Starts and lives that came to nothing, in a row.
    failures: u32,
    /// Of those, spares that ended by themselves or could not be claimed.
    unfit: u32,
    /// Watchers of the pool are to be told what is wanted and why there are none.
    untold: bool,
    /// Why there are none, though they are wanted, and what held when that was found.
    off: Option<(String, Option<LaunchMark>)>,
}

/// Why a spare did not come to be.
#[derive(Debug)]
pub(crate) enum NotParked {
    /// The server ends, or the program is not there: told elsewhere.
    NotNow(Refused),
    /// It did not start.
    Failed(StartError),
}

/// What came of the claim of a spare's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the conversation's.
    Worked,
    /// It did not answer.
    Unanswered,
    /// It was not asked: it was made from other settings, or the conversation needs a process of its own.
    Refused,
}

/// What the dispatcher's task is told of spares.
#[derive(Debug)]
pub(crate) enum SpareNews {
    /// Its process waits to be claimed.
    Ready(InstanceId, Box<Running>),
    /// It did not come to be.
    Failed(InstanceId, NotParked),
    /// What came of a turn's claim of one's process.
    Claimed(Claim),
    /// What a process that is started now would be fixed to.
    Mark(LaunchMark),
    /// It is time to start the next one.
    Look,
}

impl DispatcherTask {
    pub(super) fn hear_of_spare(&mut self, news: SpareNews) {
        match news {
            SpareNews::Ready(id, running) => self.spare_ready(id, *running),
            SpareNews::Failed(id, why) => self.spare_failed(id, why),
            SpareNews::Claimed(outcome) => self.spare_claimed(outcome),
            SpareNews::Mark(mark) => self.spare_mark(mark),
            SpareNews::Look => self.spares.will_look = false,
        }
    }

    /// Starts a spare if one is wanted and nobody waits for the slot, ends those that are too many. After each message.
    pub(super) fn tend_spares(&mut self) {
        if self.is_draining() {
            return;
        }
        let wanted = if self.spares.off.is_some() { 0 } else { self.options.spares.count };
        if wanted == 0 && !self.pool.knows_spares() {
            return;
        }
        let there = self.pool.spares();
        if there > wanted {
            let ready: Vec<_> = self.pool.staying_spares().map(|entry| entry.record.id).collect();
            ready.into_iter().take(there - wanted).for_each(|id| self.begin_stop(id));
            return;
        }
        let waiting = self.wanted_slots() + self.starting.len();
        if there == wanted
            || !self.condition.starts_freely()
            || !self.may_start_spare()
            || !self.pool.has_room_beside(waiting)
        {
            return;
        }
        let now = Instant::now();
        match self.spares.not_before.filter(|then| *then > now) {
            Some(then) => self.look_again(then - now),
            None => {
                self.pause_starts(self.options.spares.stagger);
                self.park();
            }
        }
    }

    fn pause_starts(&mut self, pause: Duration) {
        let then = Instant::now() + pause;
        self.spares.not_before = Some(self.spares.not_before.map_or(then, |before| before.max(then)));
    }

    fn look_again(&mut self, after: Duration) {
        if !self.spares.will_look {
            self.spares.will_look = true;
            self.later(after, Command::Spare(SpareNews::Look));
        }
    }

    fn park(&mut self) {
        let Some(commands) = self.commands() else { return };
        let mut record = self.new_record(ConversationId(Uuid::nil()));
        record.process_generation = 1;
        let id = record.id;
        self.pool.insert_spare(record);
        let backend = std::sync::Arc::clone(&self.backend);
        let given_up = self.launches.clone();
        self.tracker.spawn(async move {
            let parked = async {
                backend.ready().await.map_err(|not_ready| NotParked::NotNow(not_ready.into()))?;
                backend.park(id).await.map_err(NotParked::Failed)
            };
            let parked = given_up.run_until_cancelled(parked).await;
            let news = match parked.unwrap_or(Err(NotParked::NotNow(Refused::Draining))) {
                Ok(running) => SpareNews::Ready(id, Box::new(running)),
                Err(why) => SpareNews::Failed(id, why),
            };
            let _ = commands.send(Command::Spare(news)).await;
        });
    }

    fn spare_ready(&mut self, id: InstanceId, running: Running) {
        self.watch_process(id, &running);
        let stderr = running.process.stderr();
        if let Some(entry) = self.pool.get_mut(id) {
            entry.process_id = running.process.process_id();
            entry.vitals = running.process.vitals();
            entry.tenure = Tenure::begin();
            entry.idle = Some(running);
        }
        self.tell_started(id, stderr);
        if self.pool.apply(id, InstanceEvent::Ready) == Some(InstanceState::Stopping) {
            self.end_process(id);
        }
    }

    fn spare_failed(&mut self, id: InstanceId, why: NotParked) {
        self.remove_dir(id);
        self.pool.forget(id);
        self.answer_stops(id);
        self.spares.failures += 1;
        match why {
            NotParked::NotNow(refused) => tracing::debug!(%refused, "no spare could be started"),
            NotParked::Failed(error) => {
                tracing::warn!(error = chain(&error), "spare could not be started");
                if let StartError::Exited { stderr, .. } = &error {
                    self.unfit("ended by themselves", stderr);
                }
            }
        }
        self.back_off();
    }

    /// A spare's process ended before anybody had claimed it, and nobody had ended it.
    pub(super) fn spare_died(&mut self, id: InstanceId, exit: Option<&InstanceExit>) {
        let Some(entry) = self.pool.get(id).filter(|entry| entry.spare) else { return };
        if entry.state == InstanceState::Stopping || entry.tenure.recycled.is_some() {
            return;
        }
        self.figures.spare("died");
        if entry.tenure.since.elapsed() >= SETTLED {
            (self.spares.failures, self.spares.unfit) = (1, 0);
        } else {
            self.spares.failures += 1;
            let stderr = exit.map(|exit| exit.stderr.clone()).unwrap_or_default();
            self.unfit("ended by themselves", &stderr);
        }
        self.back_off();
    }

    /// A turn has claimed a spare, or could not.
    fn spare_claimed(&mut self, outcome: Claim) {
        match outcome {
            Claim::Worked => (self.spares.failures, self.spares.unfit) = (0, 0),
            Claim::Unanswered => {
                self.figures.spare("unclaimed");
                self.spares.failures += 1;
                self.unfit("could not be claimed", "");
                self.back_off();
            }
            // There may be others like it.
            Claim::Refused => self.check_spares(),
        }
    }

    /// One ends for lack of memory: another would soon follow it.
    pub(super) fn spare_shed(&mut self) {
        self.spares.failures += 1;
        self.back_off();
    }

    fn back_off(&mut self) {
        let pause = Duration::from_secs(1) * 2_u32.saturating_pow(self.spares.failures.saturating_sub(1));
        self.pause_starts(pause.min(LONGEST_PAUSE));
    }

    /// A spare was of no use for a reason of its own. Several in a row: the program cannot wait to be told who it is.
    fn unfit(&mut self, what: &str, stderr: &str) {
        self.spares.unfit += 1;
        if self.spares.unfit < UNFIT || self.spares.off.is_some() {
            return;
        }
        let said = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let colon = if said.is_empty() { "" } else { ": " };
        let why = format!(
            "{UNFIT} spares in a row {what}{colon}{said}; none are made until the settings or the CLI change"
        );
        tracing::warn!(reason = why, "warm spares are off");
        self.spares.off = Some((why, None));
        self.spares.untold = true;
        self.check_spares();
    }

    /// Replaces spares that are old, and those made from other settings or another version of the program. Now and then.
    pub(super) fn check_spares(&mut self) {
        for id in self.pool.spares_older_than(self.options.spares.max_age) {
            self.begin_stop(id);
        }
        if self.is_draining() || (self.spares.off.is_none() && !self.pool.knows_spares()) {
            return;
        }
        let Some(commands) = self.commands() else { return };
        let backend = std::sync::Arc::clone(&self.backend);
        self.tracker.spawn(async move {
            let mark = backend.launch_mark().await;
            let _ = commands.send(Command::Spare(SpareNews::Mark(mark))).await;
        });
    }

    fn spare_mark(&mut self, mark: LaunchMark) {
        let other = |entry: &&crate::pool::Entry| entry.parked().is_some_and(|parked| parked != mark);
        let outdated: Vec<_> =
            self.pool.staying_spares().filter(other).map(|entry| entry.record.id).collect();
        outdated.into_iter().for_each(|id| self.begin_stop(id));
        match &mut self.spares.off {
            Some((_, off @ None)) => *off = Some(mark),
            Some((_, Some(then))) if *then != mark => self.try_spares_again(),
            Some(_) | None => {}
        }
    }

    /// What was found of spares may hold no more.
    pub(super) fn try_spares_again(&mut self) {
        let Spares { will_look, .. } = self.spares;
        self.spares = Spares { will_look, untold: true, ..Spares::default() };
        self.check_spares();
    }

    /// Tells those who watch the pool, after its instances.
    pub(super) fn tell_spares(&mut self) {
        if std::mem::take(&mut self.spares.untold) {
            let off = self.spares.off.as_ref().map_or("", |(why, _)| why.as_str());
            self.hub.monitor().board().set_spares(self.options.spares.count, off);
        }
    }

    /// Counts a turn that could have had a spare and got none.
    pub(super) fn count_miss(&self, turn: TurnId, granted: Option<&Running>) {
        let fresh = self.lines.slots.get(&turn).is_some_and(|slot| slot.fits_spare);
        if fresh && granted.is_none() && self.options.spares.count > 0 {
            self.figures.spare("missed");
        }
    }

    /// The oldest spare, for a turn that can have one; its start is over. The next one is made once that turn is on its
    /// way.
    pub(super) fn spare_for(&mut self, turn: TurnId) -> Option<(InstanceId, Running)> {
        let slot = self.lines.slots.get(&turn)?;
        let is_new = slot.fits_spare && self.pool.of_conversation(slot.conversation).is_none();
        if !is_new || self.options.spares.count == 0 {
            return None;
        }
        let pair = slot.pair.clone();
        let spare = self.pool.take_spare(slot.conversation, now());
        if let Some((id, _)) = &spare {
            self.pool.set_pair(*id, pair);
            self.figures.spare("used");
            self.pause_starts(self.options.spares.stagger);
        }
        spare
    }
}
