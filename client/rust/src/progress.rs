//! How far a watcher of one turn has come, and what a next event adds to that. Pure: no connection, no clock.

use crate::{TurnEvent, TurnUpdate, v1};

/// What the client holds of a turn. It outlives connections: a new one goes on from here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The turn; empty before the first event.
    pub(crate) turn_id: String,
    /// Number of the last event seen.
    pub(crate) last_sequence: Option<u64>,
    /// UTF-8 bytes of text held since the last reset.
    pub(crate) held: u64,
    /// Whether the terminal event was seen.
    pub(crate) ended: bool,
}

/// The text does not join what is held: bytes were lost on the way and must be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Bytes that are held.
    pub(crate) held: u64,
    /// Where the next piece would begin.
    pub(crate) offset: u64,
}

impl Progress {
    /// Takes an event of the server and puts what is new in it into `into`.
    ///
    /// # Errors
    /// [`Gap`]: the event was not taken; nothing has changed.
    pub(crate) fn take(
        &mut self,
        event: v1::TurnEvent,
        into: &mut impl Extend<TurnEvent>,
    ) -> Result<(), Gap> {
        let v1::TurnEvent { sequence, turn_id, time, event: Some(kind) } = event else { return Ok(()) };
        let Some(mut update) = TurnUpdate::from_proto(kind) else { return Ok(()) };
        if self.ended || (is_durable(&update) && self.last_sequence.is_some_and(|last| sequence <= last)) {
            return Ok(());
        }
        let mut give = |update| into.extend([TurnEvent { sequence, turn_id: turn_id.clone(), time, update }]);
        match &mut update {
            TurnUpdate::Text { offset, text } => {
                let gap = Gap { held: self.held, offset: *offset };
                let overlap = usize::try_from(self.held.checked_sub(*offset).ok_or(gap)?).map_err(|_| gap)?;
                if overlap >= text.len() {
                    return Ok(());
                }
                if !text.is_char_boundary(overlap) {
                    return Err(gap);
                }
                text.drain(..overlap);
                *offset = self.held;
                self.held += text.len() as u64;
            }
            TurnUpdate::Reset { .. } => self.held = 0,
            TurnUpdate::Completed(turn) => {
                self.ended = true;
                // The terminal record is the truth; text that it has and the stream had not is given before it.
                let whole = !turn.truncated_fields.iter().any(|field| field == "text");
                if whole && turn.text.len() as u64 != self.held {
                    let held = usize::try_from(self.held).unwrap_or(usize::MAX);
                    let missing = if let Some(missing) = turn.text.get(held..) {
                        missing.to_owned()
                    } else {
                        give(TurnUpdate::Reset { reason: "replaced".into() });
                        self.held = 0;
                        turn.text.clone()
                    };
                    if !missing.is_empty() {
                        give(TurnUpdate::Text { offset: self.held, text: missing });
                    }
                    self.held = turn.text.len() as u64;
                }
            }
            TurnUpdate::Failed(_) | TurnUpdate::Cancelled(_) => self.ended = true,
            _ => {}
        }
        give(update);
        if self.turn_id.is_empty() {
            self.turn_id = turn_id;
        }
        self.last_sequence = self.last_sequence.max(Some(sequence));
        Ok(())
    }
}

/// Whether the event has a number of its own. Live events repeat the number before them. The terminal one is durable
/// too, but comes once a connection and must never be dropped.
fn is_durable(update: &TurnUpdate) -> bool {
    match update {
        TurnUpdate::Accepted { .. }
        | TurnUpdate::Started { .. }
        | TurnUpdate::Reset { .. }
        | TurnUpdate::SessionReset { .. } => true,
        TurnUpdate::Retrying(retrying) => retrying.scope() != v1::RetryScope::Api,
        TurnUpdate::Queued { .. }
        | TurnUpdate::ContextCompacted(_)
        | TurnUpdate::Text { .. }
        | TurnUpdate::ToolCall(_)
        | TurnUpdate::ToolResult(_)
        | TurnUpdate::Completed(_)
        | TurnUpdate::Failed(_)
        | TurnUpdate::Cancelled(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delta(offset: u64, text: &str) -> v1::TurnEvent {
        event(3, v1::turn_event::Event::TextDelta(v1::TextDelta { offset, text: text.into() }))
    }

    fn event(sequence: u64, event: v1::turn_event::Event) -> v1::TurnEvent {
        v1::TurnEvent { sequence, turn_id: "t".into(), time: None, event: Some(event) }
    }

    fn completed(text: &str) -> v1::TurnEvent {
        let turn = v1::Turn { text: text.into(), ..Default::default() };
        event(9, v1::turn_event::Event::Completed(v1::TurnCompleted { turn: Some(turn) }))
    }

    fn joined(events: &[TurnEvent]) -> String {
        let mut text = String::new();
        for event in events {
            match &event.update {
                TurnUpdate::Text { offset, text: piece } => {
                    assert_eq!(*offset, text.len() as u64, "a piece joins what is there");
                    text.push_str(piece);
                }
                TurnUpdate::Reset { .. } => text.clear(),
                _ => {}
            }
        }
        text
    }

    #[test]
    fn a_hole_is_refused_and_changes_nothing() {
        let mut progress = Progress::default();
        let mut out = Vec::new();
        progress.take(delta(0, "ab"), &mut out).expect("joins");
        assert_eq!(progress.take(delta(3, "d"), &mut out), Err(Gap { held: 2, offset: 3 }));
        progress.take(delta(2, "cd"), &mut out).expect("joins");
        assert_eq!(joined(&out), "abcd");
    }

    #[test]
    fn an_overlap_within_a_character_is_refused() {
        let mut progress = Progress { held: 1, ..Progress::default() };
        assert_eq!(progress.take(delta(0, "éa"), &mut Vec::new()), Err(Gap { held: 1, offset: 0 }));
    }

    #[test]
    fn the_terminal_record_fills_what_the_stream_had_not() {
        for streamed in ["", "ab", "abcdefgh"] {
            let mut progress = Progress::default();
            let mut out = Vec::new();
            progress.take(delta(0, streamed), &mut out).expect("joins");
            progress.take(completed("abcd"), &mut out).expect("ends");
            assert_eq!(joined(&out), "abcd", "after {streamed:?}");
            assert!(out.last().expect("events").update.terminal().is_some());
        }
    }

    #[test]
    fn a_record_that_was_cut_says_nothing_about_the_text() {
        let mut progress = Progress::default();
        let mut out = Vec::new();
        progress.take(delta(0, "abcdef"), &mut out).expect("joins");
        let turn =
            v1::Turn { text: "abc".into(), truncated_fields: vec!["text".into()], ..Default::default() };
        progress
            .take(
                event(9, v1::turn_event::Event::Completed(v1::TurnCompleted { turn: Some(turn) })),
                &mut out,
            )
            .expect("ends");
        assert_eq!(joined(&out), "abcdef");
    }

    proptest! {
        /// Whatever pieces a server repeats after a reconnect, each byte is given out once and in order.
        #[test]
        fn no_byte_is_lost_or_doubled(
            text in "\\PC{0,60}",
            cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 0..40),
        ) {
            let boundary = |share: f64| {
                let mut at = (text.len() as f64 * share) as usize;
                while !text.is_char_boundary(at) { at -= 1; }
                at
            };
            let mut progress = Progress::default();
            let mut out = Vec::new();
            for (a, b) in cuts {
                let (from, to) = (boundary(a.min(b)), boundary(a.max(b)));
                let held = progress.held;
                let result = progress.take(delta(from as u64, &text[from..to]), &mut out);
                prop_assert_eq!(result.is_err(), from as u64 > held);
                prop_assert_eq!(joined(&out), &text[..progress.held as usize]);
            }
            progress.take(completed(&text), &mut out).expect("ends");
            prop_assert_eq!(joined(&out), text);
        }
    }
}
