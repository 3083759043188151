//! Slots that nobody gives back by itself: who would need one of them is told so at once, and does not wait in vain.

use std::fmt;

use claude_comms_model::TurnId;

use super::{Refused, task::DispatcherTask};
use crate::pair::Pair;

/// A limit of instances that pinned or paused ones have used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The setting that limits them.
    pub setting: &'static str,
    /// How many it allows.
    pub most: usize,
    /// The module that they serve, where it is a limit of modules.
    pub module: Option<String>,
}

impl Held {
    /// All slots.
    pub(crate) fn all(most: usize) -> Self {
        Self { setting: "pool.max_instances", most, module: None }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, most, module } = self;
        f.write_str("every instance")?;
        if let Some(module) = module {
            write!(f, " that may serve module {module}")?;
        }
        write!(
            f,
            " is pinned or paused, which is as many as {setting} allows ({most}); stop or resume one, or raise it"
        )
    }
}

impl DispatcherTask {
    /// Why a turn of this pair would get no new instance before somebody stops or resumes one.
    pub(super) fn held_for(&self, pair: &Pair) -> Option<Refused> {
        let held = if self.pool.all_held() {
            Held::all(self.options.max_instances)
        } else {
            self.pool.held_for(pair, true)?
        };
        Some(Refused::AllInstancesPinned(held))
    }

    /// Ends what waits for a module all of whose instances are pinned. Where one is paused it goes on waiting.
    pub(super) fn refuse_held(&mut self) {
        let held: Vec<(Pair, Held)> = self
            .lines
            .fair
            .pairs()
            .filter_map(|(pair, _)| self.pool.held_for(&pair, false).map(|held| (pair, held)))
            .collect();
        for (pair, held) in held {
            let waiting: Vec<TurnId> =
                self.lines.fair.in_order().filter(|(_, own)| *own == pair).map(|(id, _)| id).collect();
            for id in waiting {
                self.lines.refuse(id, Refused::AllInstancesPinned(held.clone()));
            }
        }
    }
}
