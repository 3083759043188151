//! How long a process may serve: its memory, its turns, its age. Pure bookkeeping, as the pool: who ends it is another's.

use std::time::{Duration, Instant};

use claude_comms_model::{InstanceId, InstanceState};

use super::{Entry, Pool};

/// Why a process is replaced though nothing is wrong with its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recycle {
    /// It takes too much memory.
    MemoryLimit,
    /// It has run its turns.
    MaxTurns,
    /// It is old.
    MaxAge,
}

impl Recycle {
    /// Every reason there is.
    pub(crate) const ALL: [Self; 3] = [Self::MemoryLimit, Self::MaxTurns, Self::MaxAge];

    /// The name in records and figures.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory_limit",
            Self::MaxTurns => "max_turns",
            Self::MaxAge => "max_age",
        }
    }
}

/// What a process may take; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessLimits {
    /// Memory of its tree, bytes.
    pub memory: Option<u64>,
    /// Turns.
    pub turns: Option<u64>,
    /// Time since its start.
    pub age: Option<Duration>,
}

/// What a process has done for its instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenure {
    /// Since when it runs.
    pub since: Instant,
    /// Turns that ended on it.
    pub turns: u64,
    /// Why it is being replaced, once it is.
    pub recycled: Option<Recycle>,
}

impl Tenure {
    /// Of a process that has just started.
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), turns: 0, recycled: None }
    }

    fn over(&self, limits: &ProcessLimits, memory: Option<u64>) -> Option<Recycle> {
        let beyond =
            |limit: Option<u64>, is: Option<u64>| limit.zip(is).is_some_and(|(limit, is)| is > limit);
        if beyond(limits.memory, memory) {
            Some(Recycle::MemoryLimit)
        } else if limits.turns.is_some_and(|limit| self.turns >= limit) {
            Some(Recycle::MaxTurns)
        } else if limits.age.is_some_and(|limit| self.since.elapsed() >= limit) {
            Some(Recycle::MaxAge)
        } else {
            None
        }
    }
}

impl Entry {
    /// The memory of its process with all it started, when it was last looked at: its share, or what is resident where
    /// the system does not tell shares.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let checked = self.checked.as_ref().filter(|finding| finding.process_id == self.process_id);
        let facts = checked?.facts?;
        Some(if facts.pss_bytes > 0 { facts.pss_bytes } else { facts.rss_bytes })
    }
}

impl Pool {
    /// Why the process of an idle instance has served enough, if it has.
    pub(crate) fn served_enough(&self, id: InstanceId, limits: &ProcessLimits) -> Option<Recycle> {
        let entry =
            self.get(id).filter(|entry| entry.state == InstanceState::Idle && entry.idle.is_some())?;
        entry.tenure.over(limits, entry.memory_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_a_tenure_at_its_value_and_none_without_one() {
        let tenure = Tenure { since: Instant::now() - Duration::from_secs(60), turns: 5, recycled: None };
        let none = ProcessLimits::default();
        assert_eq!(tenure.over(&none, Some(u64::MAX)), None);
        for (limits, memory, over) in [
            (ProcessLimits { memory: Some(100), ..none }, Some(101), Some(Recycle::MemoryLimit)),
            (ProcessLimits { memory: Some(100), ..none }, Some(100), None),
            (ProcessLimits { memory: Some(100), ..none }, None, None),
            (ProcessLimits { turns: Some(5), ..none }, None, Some(Recycle::MaxTurns)),
            (ProcessLimits { turns: Some(6), ..none }, None, None),
            (ProcessLimits { age: Some(Duration::from_secs(59)), ..none }, None, Some(Recycle::MaxAge)),
            (ProcessLimits { age: Some(Duration::from_secs(600)), ..none }, None, None),
        ] {
            assert_eq!(tenure.over(&limits, memory), over, "{limits:?} {memory:?}");
        }
    }
}
