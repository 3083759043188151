//! How far a watcher of one instance has come, and what a next event adds to that. Pure: no connection, no clock.

use std::collections::{HashSet, VecDeque};

use crate::{progress::Progress, v1};

use v1::{instance_event::Event, turn_event::Event as InTurn};

/// What the client holds of an instance. It outlives connections: a new one goes on from here, and gets the turn that
/// runs and what the process wrote to standard error again from their beginnings.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    id: String,
    /// The last durable event; `None` while it is only known that the watcher begins now.
    sequence: Option<u64>,
    turn: Progress,
    /// Live events of that turn which were given, by time and what they are about.
    live: HashSet<(i64, i32, String)>,
    /// Which process wrote last, and up to where it was given.
    stderr: (u32, u64),
    /// When the check was that was given last.
    checked: Option<prost_types::Timestamp>,
}

impl Watched {
    pub(crate) fn new(id: String, after_sequence: Option<u64>) -> Self {
        Self { id, sequence: after_sequence, ..Self::default() }
    }

    /// Asks for what is missing.
    pub(crate) fn request(&self) -> v1::MonitorInstanceRequest {
        v1::MonitorInstanceRequest { id: self.id.clone(), after_sequence: self.sequence }
    }

    /// Takes an event of the server and puts what is new in it into `into`.
    pub(crate) fn take(&mut self, event: v1::InstanceEvent, into: &mut VecDeque<v1::InstanceEvent>) {
        // A name may be another instance's later.
        self.id.clone_from(&event.instance_id);
        let v1::InstanceEvent { sequence, instance_id, time, event: Some(what) } = event else { return };
        let again = self.sequence.is_some_and(|last| sequence <= last);
        let fresh = self.sequence.is_none();
        self.sequence = self.sequence.max(Some(sequence));
        let mut give = |time, what| {
            into.push_back(v1::InstanceEvent {
                sequence,
                instance_id: instance_id.clone(),
                time,
                event: Some(what),
            });
        };
        match what {
            Event::Turn(turn) => {
                for turn in self.in_turn(*turn) {
                    give(turn.time, Event::Turn(Box::new(turn)));
                }
            }
            Event::Stderr(piece) => {
                if let Some(piece) = self.stderr(piece) {
                    give(time, Event::Stderr(piece));
                }
            }
            Event::Health(health) if self.checked == health.checked_time => {}
            Event::Health(health) => {
                self.checked = health.checked_time;
                give(time, Event::Health(health));
            }
            // Durable: each has its own number, but for the state that a watcher is told who begins now.
            what if fresh || !again => give(time, what),
            _ => {}
        }
    }

    fn in_turn(&mut self, event: v1::TurnEvent) -> Vec<v1::TurnEvent> {
        if self.turn.turn_id != event.turn_id {
            self.turn = Progress { turn_id: event.turn_id.clone(), ..Progress::default() };
            self.live.clear();
            if let Some(InTurn::TextDelta(text)) = &event.event {
                // It begins within the turn.
                self.turn.held = text.offset;
            }
        }
        let about = match &event.event {
            Some(InTurn::Queued(queued)) => {
                Some(format!("queued {} {} {}", queued.position, queued.ahead, queued.waits_for))
            }
            Some(InTurn::ToolCall(call)) => Some(format!("call {}", call.id)),
            Some(InTurn::ToolResult(result)) => Some(format!("result {}", result.id)),
            Some(InTurn::Retrying(retrying)) if retrying.scope() == v1::RetryScope::Api => {
                Some(format!("retry {}", retrying.attempt))
            }
            _ => None,
        };
        if let Some(about) = about {
            let time = event.time.unwrap_or_default();
            if !self.live.insert((time.seconds, time.nanos, about)) {
                return Vec::new();
            }
        }
        let mut new = Vec::new();
        let piece = match &event.event {
            Some(InTurn::TextDelta(text)) => Some(text.offset),
            _ => None,
        };
        if self.turn.take(event.clone(), &mut new).is_err() {
            // The server gives what it has; a hole is nothing that could be asked for again.
            self.turn.held = piece.unwrap_or(self.turn.held);
            let _ = self.turn.take(event, &mut new);
        }
        new.into_iter().map(Into::into).collect()
    }

    fn stderr(&mut self, mut piece: v1::InstanceStderr) -> Option<v1::InstanceStderr> {
        let held = if self.stderr.0 == piece.generation { self.stderr.1 } else { 0 };
        let end = piece.offset + piece.text.len() as u64;
        if piece.generation < self.stderr.0 || end <= held {
            return None;
        }
        if held > 0 {
            piece.skipped_bytes = piece.offset.saturating_sub(held);
        }
        let overlap = usize::try_from(held.saturating_sub(piece.offset)).unwrap_or(0);
        // Bytes that are no text are longer here than there: then a few may come twice.
        if overlap > 0 && piece.text.is_char_boundary(overlap) && !piece.text.contains('\u{fffd}') {
            piece.text.drain(..overlap);
            piece.offset = held;
        }
        self.stderr = (piece.generation, end);
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
