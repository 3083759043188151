//! How long a process may serve: its memory, its turns, its age. Pure bookkeeping, as the pool: who ends it is another's.

use std::time::{Duration, Instant};

use claude_comms_model::{InstanceId, InstanceState};

use super::Pool;

/// Why a process is replaced though nothing is wrong with its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recycle {
    /// It takes too much memory.
    MemoryLimit,
    /// It has run its turns.
    MaxTurns,
    /// It is old.
    MaxAge,
    /// It took so much memory that it was killed.
    MemoryHardLimit,
}

impl Recycle {
    /// Every reason there is, as figures have them.
    pub(crate) const LABELS: [&[&str]; 4] = [
        &[Self::MemoryLimit.as_str()],
        &[Self::MemoryHardLimit.as_str()],
        &[Self::MaxTurns.as_str()],
        &[Self::MaxAge.as_str()],
    ];

    /// The name in the record of its end.
    pub(crate) fn exit_reason(self) -> &'static str {
        if self == Self::MemoryHardLimit { Self::MemoryLimit.as_str() } else { self.as_str() }
    }

    /// The name in figures.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory_limit",
            Self::MaxTurns => "max_turns",
            Self::MaxAge => "max_age",
            Self::MemoryHardLimit => "memory_hard_limit",
        }
    }
}

/// What a process may take; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessLimits {
    /// Memory of its tree, bytes.
    pub memory: Option<u64>,
    /// Memory beyond which it is killed, bytes.
    pub memory_hard: Option<u64>,
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
    /// Memory of its tree when it was last looked at, bytes: its share, or what is resident where the system does not tell
    /// shares.
    pub memory_bytes: Option<u64>,
    /// Why it is being replaced, once it is.
    pub recycled: Option<Recycle>,
}

impl Tenure {
    /// Of a process that has just started.
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), turns: 0, memory_bytes: None, recycled: None }
    }

    fn over(&self, limits: &ProcessLimits) -> Option<Recycle> {
        let beyond =
            |limit: Option<u64>, is: Option<u64>| limit.zip(is).is_some_and(|(limit, is)| is > limit);
        if beyond(limits.memory_hard, self.memory_bytes) {
            Some(Recycle::MemoryHardLimit)
        } else if beyond(limits.memory, self.memory_bytes) {
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

impl Pool {
    /// Why the process of an idle instance has served enough, if it has.
    pub(crate) fn served_enough(&self, id: InstanceId, limits: &ProcessLimits) -> Option<Recycle> {
        let entry =
            self.get(id).filter(|entry| entry.state == InstanceState::Idle && entry.idle.is_some())?;
        entry.tenure.over(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_a_tenure_at_its_value_and_none_without_one() {
        let since = Instant::now() - Duration::from_secs(60);
        let tenure = |memory_bytes| Tenure { since, turns: 5, memory_bytes, recycled: None };
        let none = ProcessLimits::default();
        assert_eq!(tenure(Some(u64::MAX)).over(&none), None);
        for (limits, memory, over) in [
            (ProcessLimits { memory: Some(100), ..none }, Some(101), Some(Recycle::MemoryLimit)),
            (ProcessLimits { memory: Some(100), ..none }, Some(100), None),
            (ProcessLimits { memory: Some(100), ..none }, None, None),
            (
                ProcessLimits { memory: Some(9), memory_hard: Some(100), ..none },
                Some(101),
                Some(Recycle::MemoryHardLimit),
            ),
            (ProcessLimits { turns: Some(5), ..none }, None, Some(Recycle::MaxTurns)),
            (ProcessLimits { turns: Some(6), ..none }, None, None),
            (ProcessLimits { age: Some(Duration::from_secs(59)), ..none }, None, Some(Recycle::MaxAge)),
            (ProcessLimits { age: Some(Duration::from_secs(600)), ..none }, None, None),
        ] {
            assert_eq!(tenure(memory).over(&limits), over, "{limits:?} {memory:?}");
        }
    }
}
