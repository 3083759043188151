//! The earlier turns, as a message shows them: the newest ones, as many as there is room for.

use minijinja::{Value, context};

use crate::ask::PastTurn;
use crate::value::{line, said};

/// Turns and bytes that are looked at; older ones are never shown. No budget that may be asked for has room for more.
const MOST_TURNS: usize = 500;
const MOST_BYTES: usize = 4 << 20;

/// Characters of the newest turn's texts, where the whole does not fit.
const NEWEST: [usize; 2] = [4_000, 500];

/// The turns that may be shown, and what can be cut of them: first whole turns from the oldest on, then the newest
/// one's texts.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    turns: &'a [PastTurn],
    /// How many turns come before them.
    before: usize,
}

/// What one cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The turn of that number, from 1 on.
    Turn(usize),
    /// All but this many characters of the newest turn's texts.
    Newest(usize),
}

impl<'a> Window<'a> {
    pub(crate) fn new(turns: &'a [PastTurn]) -> Self {
        let mut bytes = 0_usize;
        let fits = |turn: &&PastTurn| {
            bytes = bytes.saturating_add(turn.prompt.len() + turn.answer.len());
            bytes <= MOST_BYTES
        };
        let shown =
            turns.iter().rev().take(MOST_TURNS).take_while(fits).count().max(usize::from(!turns.is_empty()));
        let before = turns.len() - shown;
        Self { turns: &turns[before..], before }
    }

    /// Every cut, in the order in which they are made.
    pub(crate) fn cuts(&self) -> Vec<Cut> {
        let Some(older) = self.turns.len().checked_sub(1) else { return Vec::new() };
        let turns = (0..older).map(|at| Cut::Turn(self.before + at + 1));
        turns.chain(NEWEST.map(Cut::Newest)).collect()
    }

    /// Turns that are never shown.
    pub(crate) fn never_shown(&self) -> usize {
        self.before
    }

    /// The text of a turn that a cut takes, for its tokens.
    pub(crate) fn text(&self, number: usize) -> (&'a str, &'a str) {
        let turn = &self.turns[number - 1 - self.before];
        (&turn.prompt, &turn.answer)
    }

    /// The number of the newest turn.
    pub(crate) fn newest(&self) -> usize {
        self.before + self.turns.len()
    }

    /// The history after some cuts, as a template sees it.
    pub(crate) fn value(&self, cuts: &[Cut]) -> Value {
        let gone = cuts.iter().filter(|cut| matches!(cut, Cut::Turn(_))).count();
        let room = cuts.iter().rev().find_map(|cut| match cut {
            Cut::Newest(characters) => Some(*characters),
            Cut::Turn(_) => None,
        });
        let last = self.turns.len().saturating_sub(1);
        let turn = |(at, turn): (usize, &PastTurn)| {
            let room = room.filter(|_| at == last);
            context! {
                number => self.before + at + 1,
                asked => text(&turn.prompt, room),
                answered => if turn.answer.is_empty() { Value::from(()) } else { text(&turn.answer, room) },
                state => line(&turn.state.to_lowercase()),
            }
        };
        context! {
            turns => self.turns.iter().enumerate().skip(gone).map(turn).collect::<Vec<_>>(),
            left_out => self.before + gone,
        }
    }
}

/// A text, or its beginning and its end.
fn text(whole: &str, room: Option<usize>) -> Value {
    let characters = || whole.chars().count();
    match room {
        Some(room) if whole.len() > room && characters() > room => {
            let left_out = characters() - room;
            let head: String = whole.chars().take(room - room / 4).collect();
            let tail: String = whole.chars().skip(characters() - room / 4).collect();
            said(&format!("{head}\n[{left_out} characters left out]\n{tail}"))
        }
        _ => said(whole),
    }
}
