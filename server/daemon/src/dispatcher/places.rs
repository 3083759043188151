//! What waiting turns are told of their place. Not at each step of the queue: at most every [`GAP`], and less often the more
//! wait, so that it costs little however long the queue is.

use std::{collections::HashMap, time::Duration};

use claude_comms_model::TurnId;
use tokio::time::Instant;

use super::{lines::Lines, task::DispatcherTask};
use crate::{
    live::{LiveEvent, Place, WaitsFor},
    pair::{Name, Pair},
};

/// Shortest time between two rounds of telling.
const GAP: Duration = Duration::from_millis(100);
/// How much longer it is for each turn that waits: a place is worked out in some hundred nanoseconds.
const GAP_EACH: Duration = Duration::from_micros(10);
/// Up to this place each step is told; behind it, each twentieth of the way.
const NEAR: u32 = 100;

/// When places are told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    last: Option<Instant>,
}

impl Telling {
    /// When the next round may be.
    pub(super) fn due(&self, waiting: usize) -> Instant {
        let gap = GAP + GAP_EACH * u32::try_from(waiting).unwrap_or(u32::MAX);
        self.last.map_or_else(Instant::now, |last| last + gap)
    }
}

impl DispatcherTask {
    /// When places and what modules have must be told anew; `None` while nothing changed.
    pub(super) fn places_due(&self) -> Option<Instant> {
        self.lines.moved.then(|| self.telling.due(self.lines.queued()))
    }

    /// Tells those whose place changed, if it is time.
    pub(super) fn tell_places(&mut self) {
        if self.places_due().is_some_and(|due| due <= Instant::now()) {
            self.telling.last = Some(Instant::now());
            self.lines.moved = false;
            let pool = &self.pool;
            self.lines.tell_places(|pair| pool.has_room_for(pair));
            self.tell_modules();
        }
    }
}

impl Lines {
    /// The place of the turn that came last, so far as it waits.
    pub(super) fn place_of_new(&self, id: TurnId, position: usize, may: impl Fn(&Pair) -> bool) -> Place {
        let slot = self.slots.get(&id).filter(|_| self.fair.contains(id));
        let ahead = slot.map_or(0, |slot| self.fair.before_last_of(&slot.pair.source));
        let limited = || slot.filter(|slot| !may(&slot.pair)).map(|_| WaitsFor::ModuleLimit);
        let waits_for = if slot.is_some() { self.no_start().or_else(limited) } else { self.cold(id) };
        place(position, ahead, waits_for)
    }

    /// What a turn waits for whose own instance has no process and may get none.
    fn cold(&self, id: TurnId) -> Option<WaitsFor> {
        self.no_start().filter(|_| self.slots.get(&id).is_some_and(|slot| slot.cold))
    }

    fn tell_places(&mut self, may: impl Fn(&Pair) -> bool) {
        if self.queued() == 0 {
            return;
        }
        let in_front = self.bound.values().map(|id| (*id, 0, self.cold(*id)));
        let held = self.no_start();
        // Those whose module is at its limit wait for one of their own.
        let (mut free, mut limited) = (0, HashMap::<Name, usize>::new());
        let ordered = self.fair.in_order().map(|(id, pair)| {
            let is_limited = held.is_none() && !may(&pair);
            let before = if is_limited { limited.entry(pair.target).or_default() } else { &mut free };
            *before += 1;
            (id, *before - 1, held.or(is_limited.then_some(WaitsFor::ModuleLimit)))
        });
        let fronts: Vec<(TurnId, usize, Option<WaitsFor>)> = in_front.chain(ordered).collect();
        for (id, ahead, waits_for) in fronts {
            self.tell_place(id, place(0, ahead, waits_for));
            let Some(line) = self.slots.get(&id).and_then(|slot| self.lines.get(&slot.conversation)) else {
                continue;
            };
            if line.len() > 1 {
                let line = Vec::from(line.clone());
                self.tell_line(&line, ahead);
            }
        }
        // Those behind a turn that runs.
        let running = |line: &&std::collections::VecDeque<TurnId>| {
            line.len() > 1
                && line.front().and_then(|id| self.slots.get(id)).is_some_and(|slot| slot.grant.is_none())
        };
        let lines: Vec<Vec<TurnId>> =
            self.lines.values().filter(running).map(|line| line.clone().into()).collect();
        for line in lines {
            self.tell_line(&line, 0);
        }
    }

    /// Tells those who are behind another turn of their conversation.
    fn tell_line(&mut self, line: &[TurnId], ahead: usize) {
        for (position, id) in line.iter().enumerate().skip(1) {
            self.tell_place(*id, place(position, ahead, None));
        }
    }

    fn tell_place(&mut self, id: TurnId, place: Place) {
        let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.grant.is_some()) else { return };
        if slot.told.is_none_or(|told| is_worth(told, place)) {
            slot.told = Some(place);
            slot.live.push(LiveEvent::Queued(place));
        }
    }
}

/// A place; in front of its line one waits for an instance, unless something else is in the way.
fn place(position: usize, ahead: usize, waits_for: Option<WaitsFor>) -> Place {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let waits_for = match waits_for {
        _ if position > 0 => WaitsFor::Conversation,
        Some(waits_for) => waits_for,
        None => WaitsFor::Instance,
    };
    Place { position: small(position), ahead: small(ahead), waits_for }
}

/// Whether a place differs from what was told by enough to be told.
fn is_worth(told: Place, now: Place) -> bool {
    let differs = |told: u32, now: u32| told != now && (now <= NEAR || told.abs_diff(now) >= now / 20);
    told.waits_for != now.waits_for || differs(told.position, now.position) || differs(told.ahead, now.ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_places_are_told_step_by_step_and_far_ones_now_and_then() {
        let at = |ahead| place(0, ahead, None);
        assert!(!is_worth(at(7), at(7)));
        assert!(is_worth(at(7), at(6)) && is_worth(at(6), at(7)));
        assert!(!is_worth(at(5000), at(4999)) && is_worth(at(5000), at(4700)));
        assert!(is_worth(at(101), at(100)), "from here on each step");
        assert!(is_worth(place(1, 7, None), place(0, 7, None)), "what it waits for is told at once");
        let steps = (0..10_000).rev().fold((10_000, 0), |(told, steps), now| {
            if is_worth(at(told), at(now)) { (now, steps + 1) } else { (told, steps) }
        });
        assert!(steps.1 < 250, "{} words on the way from place 10,000", steps.1);
    }
}
