//! The promises of the state machines, over every sequence of events that proptest cares to try.

use claude_comms_model::{
    CancelReason, Failure, FailureReason, InstanceId, InstanceState, Transition, TurnState,
    instance::InstanceEvent,
};
use proptest::prelude::*;
use uuid::Uuid;

fn transition() -> impl Strategy<Value = Transition> {
    prop_oneof![
        any::<u128>().prop_map(|n| Transition::Start { instance_id: InstanceId(Uuid::from_u128(n)) }),
        Just(Transition::Requeue),
        ".{0,8}".prop_map(|text| Transition::Complete { text, data_json: None }),
        ".{0,8}".prop_map(|partial_text| Transition::Fail {
            failure: Failure::new(FailureReason::ProcessDied, "died"),
            partial_text
        }),
        ".{0,8}".prop_map(|partial_text| Transition::Cancel {
            failure: Failure::new(CancelReason::CancelRequested, "asked"),
            partial_text
        }),
    ]
}

proptest! {
    #[test]
    fn a_turn_ends_at_most_once_and_stays_ended(steps in prop::collection::vec(transition(), 0..40)) {
        let mut state = TurnState::Queued;
        let mut ends = 0;
        for step in steps {
            let before = state.clone();
            match before.clone().next(step) {
                Ok(after) => {
                    prop_assert!(!before.kind().is_terminal(), "{before:?} is final and changed");
                    ends += usize::from(after.kind().is_terminal());
                    state = after;
                }
                Err(refused) => prop_assert_eq!(refused.state, before.kind().as_str()),
            }
        }
        prop_assert!(ends <= 1);
    }

    #[test]
    fn a_turn_is_completed_only_from_running(steps in prop::collection::vec(transition(), 0..40)) {
        let mut state = TurnState::Queued;
        for step in steps {
            let was_running = matches!(state, TurnState::Running { .. });
            let completes = matches!(step, Transition::Complete { .. });
            if let Ok(after) = state.clone().next(step) {
                prop_assert!(!completes || was_running);
                state = after;
            }
        }
    }

    #[test]
    fn every_instance_can_reach_stopped_and_stays_there(steps in prop::collection::vec(0..InstanceEvent::ALL.len(), 0..60)) {
        let mut state = InstanceState::Dormant;
        for step in steps {
            match state.next(InstanceEvent::ALL[step]) {
                Ok(after) => {
                    prop_assert_ne!(state, InstanceState::Stopped);
                    state = after;
                }
                Err(refused) => prop_assert_eq!(refused.machine, "instance"),
            }
        }
        if state != InstanceState::Stopped {
            let stopped = state.next(InstanceEvent::Stop).and_then(|s| s.next(InstanceEvent::StopDone));
            prop_assert_eq!(stopped, Ok(InstanceState::Stopped));
        }
    }
}

/// Every event in every state: what is not listed is refused.
#[test]
fn an_instance_goes_only_these_ways() {
    use InstanceEvent as E;
    use InstanceState as S;
    let ways = [
        (S::Dormant, E::Start, S::Starting),
        (S::Dormant, E::Pause, S::Paused),
        (S::Dormant, E::Stop, S::Stopping),
        (S::Starting, E::Ready, S::Idle),
        (S::Starting, E::StartFailed, S::Dormant),
        (S::Starting, E::ProcessGone, S::Dormant),
        (S::Starting, E::Stop, S::Stopping),
        (S::Idle, E::Lease, S::Busy),
        (S::Idle, E::ProcessGone, S::Dormant),
        (S::Idle, E::Pause, S::Paused),
        (S::Idle, E::Stop, S::Stopping),
        (S::Busy, E::Return, S::Idle),
        (S::Busy, E::ProcessGone, S::Dormant),
        (S::Busy, E::Stop, S::Stopping),
        (S::Paused, E::Pause, S::Paused),
        (S::Paused, E::ProcessGone, S::Paused),
        (S::Paused, E::Resume, S::Idle),
        (S::Paused, E::ResumeDormant, S::Dormant),
        (S::Paused, E::Stop, S::Stopping),
        (S::Stopping, E::Ready, S::Stopping),
        (S::Stopping, E::StartFailed, S::Stopping),
        (S::Stopping, E::Return, S::Stopping),
        (S::Stopping, E::ProcessGone, S::Stopping),
        (S::Stopping, E::Stop, S::Stopping),
        (S::Stopping, E::StopDone, S::Stopped),
    ];
    for state in S::ALL {
        for event in E::ALL {
            let listed = ways.iter().find(|(from, by, _)| (*from, *by) == (state, event));
            assert_eq!(state.next(event).ok(), listed.map(|(.., to)| *to), "{state:?} {event:?}");
        }
    }
}

#[test]
fn reasons_are_unique_and_upper_snake() {
    let mut all: Vec<&str> = FailureReason::ALL.iter().map(|r| r.as_str()).collect();
    all.extend(CancelReason::ALL.iter().map(|r| r.as_str()));
    for reason in &all {
        assert!(reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{reason}");
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}
