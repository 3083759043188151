//! Whether a new turn is taken, and when to come back if it is not.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use claude_comms_model::{ConversationId, InstanceId, InstanceState};
use uuid::Uuid;

use super::{NewTurn, Refused, task::DispatcherTask};
use crate::{
    pair::{Name, Pair},
    pool::Entry,
};

/// Bounds of what is told to who is refused.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(60);
/// What is told before any turn has ended.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Who is refused for lack of memory is told this at least: an idle process ends at most once a look.
pub(super) const LEAST_FOR_MEMORY: Duration = Duration::from_secs(1);
/// How much a turn's time counts against those before it.
const NEWEST: f64 = 0.2;

/// How fast places in the queue become free, as far as the last turns tell.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Moving average of how long turns have their instance, seconds.
    turn_seconds: Option<f64>,
    /// Since when turns run, without a moment in which none did, and none has ended.
    waiting_since: Option<Instant>,
    /// Until when each module was sent away: who comes next gets a later time, or all would come at once.
    promised: HashMap<Name, Instant>,
}

impl Pace {
    /// A turn gave its instance back.
    pub(super) fn ended(&mut self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        self.turn_seconds = Some(self.turn_seconds.map_or(took, |mean| mean + (took - mean) * NEWEST));
        self.waiting_since = Some(now);
    }

    /// A turn gets an instance while no other has one.
    pub(super) fn began(&mut self, now: Instant) {
        self.waiting_since = Some(now);
    }

    /// Time between two ends while so many run. Where nothing has ended for longer than usual, it is at least that.
    fn interval(&self, running: usize, now: Instant) -> Duration {
        let Some(mean) = self.turn_seconds else { return UNKNOWN };
        let usual = Duration::from_secs_f64(mean / running.max(1) as f64);
        // Where nothing runs, nothing is slow.
        let since = self.waiting_since.filter(|_| running > 0);
        usual.max(since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)))
    }

    /// When somebody of this module may come back: as places are shared among so many modules. `jitter` is from 0 to 1.
    pub(super) fn retry_after(
        &mut self,
        source: &Name,
        running: usize,
        sources: usize,
        now: Instant,
        jitter: f64,
    ) -> Duration {
        let share = self.interval(running, now) * u32::try_from(sources.max(1)).unwrap_or(u32::MAX);
        self.promised.retain(|_, until| *until > now);
        let from = self.promised.get(source).copied().unwrap_or(now);
        let after = (from.saturating_duration_since(now) + share).clamp(SOONEST, LATEST);
        self.promised.insert(Name::clone(source), now + after);
        after.mul_f64(1.0 + jitter / 10.0).min(LATEST)
    }
}

/// Whether a module may have one more turn wait: its fair share, once the queue is nearly full.
fn has_share(queued: usize, max_queue: usize, own: usize, sources: usize) -> bool {
    if queued >= max_queue {
        // Others have filled it: who has nothing in it gets one in, and from then on its share.
        return max_queue > 0 && own == 0 && sources > 1;
    }
    let nearly_full = queued.saturating_mul(4) >= max_queue.saturating_mul(3);
    !nearly_full || own < (max_queue / sources.max(1)).max(1)
}

impl DispatcherTask {
    /// Why a turn is not taken, if it is not.
    pub(super) fn refusal(&mut self, new: &NewTurn, pair: &Pair) -> Option<Refused> {
        let (conversation, target) = (new.conversation.id, new.target);
        let served = target.is_some() || self.pool.of_conversation(conversation).is_some();
        if self.is_draining() {
            return Some(Refused::Draining);
        }
        if let Some(id) = self.paused(conversation, target) {
            return Some(Refused::InstancePaused(id));
        }
        let queued = self.lines.queued();
        let (share, sources) = self.lines.share(&pair.source);
        if !has_share(queued, self.options.max_queue, share.queued, sources) && !self.is_free(new, pair) {
            let retry_after = self.retry_after(&pair.source, sources);
            let (own, max_queue) = (share.queued, self.options.max_queue);
            return Some(Refused::QueueFull { queued, own, max_queue, sources, retry_after });
        }
        if self.is_short() && self.needs_start(conversation, target) && !self.is_free(new, pair) {
            let retry_after = self.retry_after(&pair.source, sources).max(LEAST_FOR_MEMORY);
            return Some(self.memory_pressure(retry_after));
        }
        if let Some(refused) = self.failing(conversation, target) {
            return Some(refused);
        }
        if !served && let Some(held) = self.held_for(pair) {
            return Some(held);
        }
        target
            .filter(|id| self.pool.get(*id).is_none_or(|entry| entry.state == InstanceState::Stopping))
            .map(Refused::InstanceStopped)
    }

    /// When somebody of this module may come back.
    pub(super) fn retry_after(&mut self, source: &Name, sources: usize) -> Duration {
        let jitter = f64::from((Uuid::new_v4().as_u128() & 0xffff) as u32) / 65536.0;
        let running = self.lines.running();
        self.pace.retry_after(source, running, sources, Instant::now(), jitter)
    }

    /// The instance that would run a turn of the conversation, if it is paused or is about to be.
    pub(super) fn paused(
        &self,
        conversation: ConversationId,
        target: Option<InstanceId>,
    ) -> Option<InstanceId> {
        let id = target.or_else(|| self.pool.of_conversation(conversation))?;
        self.pool.get(id).is_some_and(Entry::is_paused).then_some(id)
    }

    /// Whether a turn would run at once.
    fn is_free(&self, new: &NewTurn, pair: &Pair) -> bool {
        let (conversation, target) = (new.conversation.id, new.target);
        if self.lines.has_turns(conversation) {
            return false;
        }
        let idle = target
            .or_else(|| self.pool.of_conversation(conversation))
            .and_then(|id| self.pool.get(id))
            .is_some_and(|entry| entry.state == InstanceState::Idle);
        let spare = || new.is_fresh(self.options.default_model.as_deref()) && self.pool.has_ready_spare();
        let slot = || (self.pool.has_room() && self.lines.no_start().is_none()) || spare();
        idle || (self.pool.has_room_for(pair) && slot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn who_is_refused_is_told_when_a_place_is_likely_to_be_free() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (a, b) = (Name::from("a"), Name::from("b"));
        assert_eq!(pace.retry_after(&a, 2, 1, start, 0.0), UNKNOWN, "nothing is known yet");
        let mut pace = Pace { promised: HashMap::new(), ..pace };
        for _ in 0..3 {
            pace.ended(MS(2000), start);
        }
        assert_eq!(pace.retry_after(&a, 4, 1, start, 0.0), MS(500), "four slots, two seconds a turn");
        assert_eq!(pace.retry_after(&a, 4, 1, start, 0.0), MS(1000), "who comes next comes after that");
        assert_eq!(pace.retry_after(&b, 4, 2, start, 0.0), MS(1000), "another module has every second place");
        let later = start + MS(5000);
        assert_eq!(pace.retry_after(&a, 4, 1, later, 0.0), MS(5000), "nothing ended for so long");
        pace.ended(MS(2000), later);
        assert_eq!(pace.retry_after(&b, 4, 1, later, 1.0), MS(550), "spread by a tenth");
    }

    #[test]
    fn time_in_which_nothing_ran_is_not_taken_for_slowness() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.ended(MS(2000), start);
        let later = start + MS(3_600_000);
        assert_eq!(pace.retry_after(&"a".into(), 0, 1, later, 0.0), MS(2000), "nothing runs");
        pace.began(later);
        let later = later + MS(10);
        assert_eq!(pace.retry_after(&"b".into(), 1, 1, later, 0.0), MS(2000), "it has only begun");
        let later = later + MS(5000);
        assert_eq!(pace.retry_after(&"c".into(), 1, 1, later, 0.0), MS(5010), "now it takes long");
    }

    #[test]
    fn what_is_told_stays_within_its_bounds() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.ended(Duration::from_micros(10), now);
        assert_eq!(pace.retry_after(&"a".into(), 8, 1, now, 0.0), SOONEST);
        for _ in 0..10_000 {
            assert!(pace.retry_after(&"b".into(), 1, 3, now, 1.0) <= LATEST);
        }
        pace.ended(Duration::from_secs(1 << 20), now);
        assert_eq!(pace.retry_after(&"c".into(), 1, 1, now, 1.0), LATEST);
        let later = now + LATEST * 2;
        pace.ended(MS(1), later);
        let _ = pace.retry_after(&"a".into(), 1, 1, later, 0.0);
        assert_eq!(pace.promised.len(), 1, "what was promised is forgotten when its time is over");
    }

    #[test]
    fn a_full_queue_is_shared() {
        assert!(has_share(7, 8, 7, 1), "who is alone may fill it");
        assert!(!has_share(8, 8, 8, 1));
        assert!(has_share(5, 8, 5, 2), "while there is room nobody is held to a share");
        assert!(!has_share(6, 8, 4, 2) && has_share(6, 8, 3, 2), "beyond three quarters each has its share");
        assert!(has_share(8, 8, 0, 2), "who has nothing in it is not shut out by the others");
        assert!(!has_share(8, 8, 1, 2));
        assert!(!has_share(0, 0, 0, 2), "a queue of nothing has no shares");
        assert!(has_share(3, 4, 0, 100), "and each share is one at least");
    }
}
