//! Who gets an instance: turns whose conversation has one wait for that alone, all others get slots in the fair order.

use std::time::Instant;

use claude_comms_model::{InstanceId, InstanceState, TurnId};

use super::{Held, Lease, Refused, task::DispatcherTask};
use crate::{backend::Running, pair::Pair, pool::Grant};

impl DispatcherTask {
    /// Starts whoever can run. What it costs grows with what changed, not with what waits.
    pub(super) fn pump(&mut self) {
        self.pump_starts();
        if self.is_draining() {
            return;
        }
        loop {
            for id in self.pool.take_stirred() {
                // What is told of modules and places counts instances too.
                self.lines.moved = true;
                let conversation = self.pool.get(id).map(|entry| entry.record.conversation_id);
                self.lines.stirred(id, conversation);
            }
            let Some(id) = self.lines.next_fresh() else { break };
            self.look(id);
        }
        self.give_slots();
        if self.pool.has_module_limits() {
            self.refuse_held();
        }
        let wanted = if self.lines.no_start().is_some() { 0 } else { self.wanted_slots() };
        self.make_room(wanted + self.pool.excess());
        self.make_room_for_modules();
    }

    /// A turn came to the front of its line, or something changed for it.
    fn look(&mut self, id: TurnId) {
        let Some(slot) = self.lines.slots.get(&id) else { return };
        let own = slot.target.or_else(|| self.pool.of_conversation(slot.conversation));
        match own {
            Some(instance) if self.is_dormant(instance) && !self.may_start() => {
                self.lines.wait_for(id, instance);
                if let Some(slot) = self.lines.slots.get_mut(&id) {
                    slot.cold = true;
                    self.lines.moved = true;
                }
            }
            Some(instance) => {
                self.give(id, Some(instance));
            }
            None => self.lines.wait_for_slot(id),
        }
    }

    fn is_dormant(&self, id: InstanceId) -> bool {
        self.pool.get(id).is_some_and(|entry| entry.state == InstanceState::Dormant)
    }

    /// Gives the slots that are free.
    fn give_slots(&mut self) {
        while self.lines.fair.len() > 0 {
            let Some(id) = self.lines.fair.first(|pair| self.pool.has_room_for(pair)) else { return };
            if let Some((spare, running)) = self.spare_for(id) {
                if self.hand(id, spare, Some(running)) {
                    continue;
                }
                return;
            }
            let may_start = if self.pool.has_room() {
                self.may_start()
            } else {
                !self.is_short() && self.pool.all_pinned()
            };
            if !may_start || !self.give(id, None) {
                return;
            }
        }
    }

    /// Gives a turn an instance, if it can have one now. `false`: no slot is free.
    fn give(&mut self, id: TurnId, own: Option<InstanceId>) -> bool {
        let Some(slot) = self.lines.slots.get(&id) else { return true };
        let (conversation, target, pair) = (slot.conversation, slot.target, slot.pair.clone());
        let record = self.new_record(conversation);
        match self.pool.grant(conversation, target, &pair, || record) {
            Grant::Instance(instance, running) => {
                self.count_miss(id, running.as_ref());
                return self.hand(id, instance, running);
            }
            Grant::Wait => {
                if let Some(instance) = own.or_else(|| self.pool.of_conversation(conversation)) {
                    self.lines.wait_for(id, instance);
                }
            }
            Grant::Full => return false,
            Grant::AllPinned => {
                self.lines.refuse(id, Refused::AllInstancesPinned(Held::all(self.options.max_instances)));
            }
            Grant::Gone => {
                if let Some(target) = target {
                    self.lines.refuse(id, Refused::InstanceStopped(target));
                }
            }
        }
        true
    }

    /// Gives a turn the instance that was granted to it. `false`: the server is gone.
    fn hand(&mut self, id: TurnId, instance: InstanceId, running: Option<Running>) -> bool {
        // Before its turn's task puts down anything.
        self.tell();
        let Some(commands) = self.commands() else { return false };
        let model = self.pool.get(instance).and_then(|entry| entry.record.model.clone());
        let lease = Lease::new(instance, model, running, commands, self.tracker.clone());
        if self.lines.running() == 0 {
            self.pace.began(Instant::now());
        }
        if let Some(lease) = self.lines.grant(id, lease) {
            let (instance, running) = lease.untaken();
            self.take_back(instance, running, None);
        }
        true
    }

    /// How many slots would be used if there were as many.
    pub(super) fn wanted_slots(&self) -> usize {
        if self.pool.has_module_limits() {
            self.pool.usable(self.lines.fair.pairs())
        } else {
            self.lines.fair.len()
        }
    }

    /// Ends an idle instance of each module that is at its limit and has turns that wait.
    fn make_room_for_modules(&mut self) {
        if !self.pool.has_module_limits() || self.lines.no_start().is_some() {
            return;
        }
        let full: Vec<Pair> = self
            .lines
            .fair
            .pairs()
            .map(|(pair, _)| pair)
            .filter(|pair| !self.pool.has_room_for(pair))
            .collect();
        for pair in full {
            if let Some(idle) = self.pool.in_the_way(&pair) {
                self.figures.instance_evicted("room");
                self.begin_stop(idle);
            }
        }
    }

    /// Ends as many idle instances as slots are wanted, those counted that are on their way out.
    pub(super) fn make_room(&mut self, wanted: usize) {
        if wanted == 0 {
            return;
        }
        for _ in self.pool.ending()..wanted {
            let Some(idle) = self.pool.longest_idle() else { return };
            self.figures.instance_evicted("room");
            self.begin_stop(idle);
        }
    }
}
