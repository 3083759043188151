//! What the answers and facts of a process come to. Pure: who asks, and when, is the sampler's.

use std::time::Duration;

use claude_comms_model::Timestamp;
use claude_comms_supervisor::{ProcessFacts, StatusError, StatusReport, SystemState};

/// An answer usually takes some milliseconds; beyond this something is wrong with the process or the machine.
const SLOW: Duration = Duration::from_secs(1);

/// What is thought of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    Healthy,
    /// It answers late, or nobody takes its output.
    Degraded,
    /// It does not answer, or cannot.
    Unhealthy,
}

/// How a process was when it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The process.
    pub process_id: u32,
    /// What is thought of it.
    pub condition: Condition,
    /// Why, and what can be done; empty when it is healthy.
    pub reason: String,
    /// When it was checked.
    pub checked_time: Timestamp,
    /// How long the CLI took to answer.
    pub response_time: Option<Duration>,
    /// What the system says of it; `None` where it does not.
    pub facts: Option<ProcessFacts>,
}

impl Finding {
    /// Whether it rests on the system's word and not on a silence.
    pub(crate) fn is_certain(&self) -> bool {
        is_out(self.facts)
    }
}

/// Whether the system's word alone settles it: such a process will not answer.
pub(super) fn is_out(facts: Option<ProcessFacts>) -> bool {
    facts.is_some_and(|facts| matches!(facts.state, SystemState::Stopped | SystemState::Zombie))
}

/// Of a process about which even the system does not answer.
pub(super) fn unread(process_id: u32, checked_time: Timestamp) -> Finding {
    Finding {
        process_id,
        condition: Condition::Unhealthy,
        reason: "the system does not say how its process is; it may hang in the kernel, on a disk as a rule"
            .to_owned(),
        checked_time,
        response_time: None,
        facts: None,
    }
}

/// Judges a process. `status` is `None` where it was not asked, because its facts say enough. Nothing is found of a
/// process that is paused or on its way out: others have settled what becomes of it.
pub(super) fn judge(
    process_id: u32,
    facts: Option<ProcessFacts>,
    status: Option<Result<StatusReport, StatusError>>,
    checked_time: Timestamp,
) -> Option<Finding> {
    let found = |condition, reason: String, response_time| {
        Some(Finding { process_id, condition, reason, checked_time, response_time, facts })
    };
    let unhealthy = |reason| found(Condition::Unhealthy, reason, None);
    match facts.map(|facts| facts.state) {
        Some(SystemState::Stopped) => {
            return unhealthy(format!(
                "its process was stopped by somebody else (SIGSTOP, or a debugger); `kill -CONT {process_id}` lets it go on"
            ));
        }
        Some(SystemState::Zombie) => {
            return unhealthy(
                "its process has ended, but its parent takes no notice; stop the instance".to_owned(),
            );
        }
        _ => {}
    }
    match status {
        None => None,
        Some(Ok(StatusReport { response_time, .. })) if response_time <= SLOW => {
            found(Condition::Healthy, String::new(), Some(response_time))
        }
        Some(Ok(StatusReport { response_time, .. })) => found(
            Condition::Degraded,
            format!(
                "it took {:.1} s to answer, where milliseconds are usual; the machine may be overloaded",
                response_time.as_secs_f64()
            ),
            Some(response_time),
        ),
        Some(Err(StatusError::Held)) => found(
            Condition::Degraded,
            "its output waits to be taken: the store is slow, or the machine overloaded".to_owned(),
            None,
        ),
        Some(Err(error @ StatusError::Silent { .. })) => {
            let state = match facts.map(|facts| facts.state) {
                Some(SystemState::Uninterruptible) => " and hangs in the kernel, on a disk as a rule",
                _ => "",
            };
            unhealthy(format!(
                "its process gives {error} to a request for its status{state}; stop the instance if that lasts"
            ))
        }
        // Nothing is said to one that waits to be claimed; the system's word is enough.
        Some(Err(StatusError::Parked)) => found(Condition::Healthy, String::new(), None),
        Some(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(7);

    fn facts(state: SystemState) -> Option<ProcessFacts> {
        Some(ProcessFacts { state, processes: 1, rss_bytes: 2, pss_bytes: 1 })
    }

    fn answered(after: Duration) -> Option<Result<StatusReport, StatusError>> {
        Some(Ok(StatusReport { response_time: after, answer: None }))
    }

    fn silent() -> Option<Result<StatusReport, StatusError>> {
        Some(Err(StatusError::Silent { after: Duration::from_secs(5) }))
    }

    #[test]
    fn each_sign_comes_to_a_condition_with_its_reason() {
        use Condition::{Degraded, Healthy, Unhealthy};
        use SystemState::{Running, Sleeping, Stopped, Uninterruptible, Zombie};
        let quick = answered(Duration::from_millis(6));
        for (state, status, condition, words) in [
            (Sleeping, quick.clone(), Healthy, ""),
            (Running, quick.clone(), Healthy, ""),
            (Uninterruptible, quick.clone(), Healthy, ""),
            (Running, answered(Duration::from_secs(2)), Degraded, "took 2.0 s to answer"),
            (Running, Some(Err(StatusError::Held)), Degraded, "waits to be taken"),
            (Running, silent(), Unhealthy, "no answer within 5 s"),
            (Uninterruptible, silent(), Unhealthy, "hangs in the kernel"),
            (Stopped, silent(), Unhealthy, "`kill -CONT 42`"),
            (Stopped, None, Unhealthy, "stopped by somebody else"),
            (Zombie, None, Unhealthy, "takes no notice"),
            // It cannot have been: the answer came before it was stopped.
            (Stopped, quick, Unhealthy, "stopped by somebody else"),
        ] {
            let found = judge(42, facts(state), status, NOW).unwrap();
            assert_eq!(
                (found.condition, found.process_id, found.checked_time),
                (condition, 42, NOW),
                "{found:?}"
            );
            assert!(found.reason.contains(words), "{found:?}");
            assert_eq!(found.reason.is_empty(), condition == Healthy, "{found:?}");
        }
    }

    #[test]
    fn a_process_the_system_does_not_show_is_judged_by_its_answer_alone() {
        let healthy = judge(42, None, answered(Duration::ZERO), NOW).unwrap();
        assert_eq!((healthy.condition, healthy.facts), (Condition::Healthy, None));
        assert_eq!(judge(42, None, silent(), NOW).unwrap().condition, Condition::Unhealthy);
    }

    #[test]
    fn nothing_is_found_of_a_process_that_is_paused_or_gone() {
        for error in [StatusError::Paused, StatusError::Exited] {
            assert_eq!(judge(42, facts(SystemState::Sleeping), Some(Err(error)), NOW), None);
        }
    }
}
