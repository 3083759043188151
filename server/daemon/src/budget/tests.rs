//! The ledger's promises: nothing falls below nothing, what is reserved is settled or given back, and a day's budget is
//! kept by any number of turns at once.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use claude_comms_model::{AskedLimits, ConversationId, FailureReason, ModuleRef, Usage};
use claude_comms_stream_json::turn::MessageStep;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::config::{self, Config, Overrides};

const SONNET: &str = "claude-sonnet-4-5";
const GOES_ON: MessageStep = MessageStep::Ended { goes_on: true };
const DONE: MessageStep = MessageStep::Ended { goes_on: false };

/// Budgets of these settings, and the clock by which they go.
fn budgets(set: impl FnOnce(&mut config::PoolOptions)) -> (Budgets, Arc<AtomicI64>) {
    let home = [("HOME".into(), "/nowhere".into())];
    let mut config: Config = config::load(&Overrides::default(), home.into_iter()).unwrap().config;
    set(&mut config.pool);
    let clock = Arc::new(AtomicI64::new(10 * DAY_MICROS + 5));
    let now = Arc::clone(&clock);
    let clock_of = Box::new(move || Timestamp(now.load(Ordering::Relaxed)));
    (Budgets::with_clock(Settings::new(config), clock_of), clock)
}

fn dollars(usd: f64) -> Option<Dollars> {
    Some(Dollars::of(usd))
}

fn conversation(target: &str, cost_usd: f64) -> Conversation {
    let target = (!target.is_empty()).then(|| ModuleRef {
        name: target.to_owned(),
        version: "1.0.0".to_owned(),
        revision: 1,
        origin: String::new(),
    });
    Conversation {
        target_module: target,
        cost_usd,
        ..Conversation::new(ConversationId(Uuid::nil()), Timestamp(0))
    }
}

/// So many tokens written cost a thousandth of a dollar each thousand.
fn wrote(output_tokens: u64) -> Usage {
    Usage { output_tokens, ..Usage::default() }
}

fn server_day(budgets: &Budgets) -> (f64, f64) {
    budgets.days().first().map_or((0.0, 0.0), |day| (day.spent_usd, day.reserved_usd))
}

#[test]
fn what_is_reserved_is_settled_with_the_true_cost_or_given_back() {
    let (budgets, _) = budgets(|pool| pool.budget_usd = dollars(1.0));
    let talk = conversation("", 0.0);
    let mut account = budgets.open(&talk, Caps::default()).unwrap();
    assert_eq!(server_day(&budgets), (0.0, 0.001));
    account.settle(0.02);
    drop(account);
    assert_eq!(server_day(&budgets), (0.02, 0.0));
    // The next one is expected to cost as much; it is dropped before it cost anything.
    let dropped = budgets.open(&talk, Caps::default()).unwrap();
    assert_eq!(server_day(&budgets), (0.02, 0.02));
    drop(dropped);
    assert_eq!(server_day(&budgets), (0.02, 0.0));
    // And this one after it had cost something.
    let mut dropped = budgets.open(&talk, Caps::default()).unwrap();
    assert_eq!(dropped.message(SONNET, wrote(1000), GOES_ON), None);
    drop(dropped);
    assert_eq!(server_day(&budgets), (0.035, 0.0));
}

#[test]
fn a_turn_that_turns_out_dearer_holds_more_and_ends_before_its_next_call() {
    let (budgets, _) = budgets(|pool| pool.budget_usd = dollars(0.02));
    let talk = conversation("", 0.0);
    let mut account = budgets.open(&talk, Caps::default()).unwrap();
    assert_eq!(account.message(SONNET, wrote(1000), GOES_ON), None);
    assert_eq!(server_day(&budgets), (0.0, 0.015));
    let failure = account.message(SONNET, wrote(1000), GOES_ON).unwrap();
    assert_eq!(failure.reason, FailureReason::BudgetExceeded);
    assert!(failure.message.contains("the budget is $0.02 (pool.budget_usd)"), "{}", failure.message);
    // What it had to say anyway is not cut off, and others are not let in.
    assert_eq!(account.message(SONNET, wrote(1000), DONE), None);
    let exceeded = budgets.admit(&talk).unwrap_err();
    assert_eq!(exceeded.retry_after, Some(RESERVED_BY_OTHERS), "it may yet be settled for less");
    account.settle(0.045);
    let exceeded = budgets.open(&talk, Caps::default()).unwrap_err();
    assert_eq!(exceeded.retry_after, Some(Duration::from_micros(DAY_MICROS as u64 - 5)));
    assert_eq!(server_day(&budgets), (0.045, 0.0));
}

#[test]
fn a_turns_limits_are_its_own_its_modules_and_its_conversations() {
    let limits = |rounds, usd: Option<f64>| Caps::of(AskedLimits { rounds, budget_nano_usd: usd.map(nano) });
    for (turn, whole, caps, before, ended) in [
        (Some(0.01), None, Caps::default(), 0.0, Some("pool.turn_budget_usd")),
        (Some(0.01), None, limits(None, Some(0.005)), 0.0, Some("limits.budget_usd")),
        (Some(0.001), None, limits(None, Some(0.005)), 0.0, Some("pool.turn_budget_usd")),
        (None, Some(1.0), Caps::default(), 0.99, Some("pool.conversation_budget_usd")),
        (None, Some(1.0), Caps::default(), 0.9, None),
        (None, None, limits(Some(1), None), 0.0, Some("limits.max_turns")),
        (None, None, limits(Some(2), None), 0.0, None),
    ] {
        let (budgets, _) = budgets(|pool| {
            pool.turn_budget_usd = turn.and_then(dollars);
            pool.conversation_budget_usd = whole.and_then(dollars);
        });
        let mut account = budgets.open(&conversation("", before), caps).unwrap();
        let failure = account.message(SONNET, wrote(1000), GOES_ON);
        match (failure, ended) {
            (Some(failure), Some(key)) => assert!(failure.message.contains(key), "{}", failure.message),
            (failure, ended) => assert_eq!((failure, ended), (None, None)),
        }
    }
    let (budgets, _) = budgets(|pool| pool.conversation_budget_usd = dollars(1.0));
    let exceeded = budgets.admit(&conversation("", 1.0)).unwrap_err();
    assert_eq!((exceeded.scope, exceeded.retry_after), (Scope::Conversation, None));
}

#[test]
fn rounds_are_counted_when_they_end_and_anew_for_each_message() {
    let (budgets, _) = budgets(|_| {});
    let caps = Caps::of(AskedLimits { rounds: Some(1), budget_nano_usd: None });
    let mut account = budgets.open(&conversation("", 0.0), caps).unwrap();
    // A stream that broke and began again is one round, and a subagent's none.
    for step in [MessageStep::Begun, MessageStep::Begun, MessageStep::Aside, MessageStep::Aside, DONE] {
        assert_eq!(account.message(SONNET, wrote(1), step), None, "{step:?}");
    }
    let beyond = account.message(SONNET, wrote(1), MessageStep::Begun).unwrap();
    assert_eq!(beyond.reason, FailureReason::MaxTurns);
    account.answered(0.0, true);
    assert_eq!(account.message(SONNET, wrote(1), MessageStep::Begun), None);
    assert_eq!(account.message(SONNET, wrote(1), GOES_ON).unwrap().reason, FailureReason::MaxTurns);
}

#[test]
fn what_the_backend_says_takes_the_place_of_the_estimate() {
    let (budgets, _) = budgets(|pool| pool.turn_budget_usd = dollars(0.02));
    let mut account = budgets.open(&conversation("", 0.0), Caps::default()).unwrap();
    assert_eq!(account.message(SONNET, wrote(1000), DONE), None);
    assert_eq!(account.cut(), (wrote(1000), 0.015));
    account.answered(0.003, true);
    assert_eq!((account.cut(), account.exceeded()), ((Usage::default(), 0.0), None));
    // From now on such tokens are known to cost a fifth.
    assert_eq!(account.message(SONNET, wrote(1000), DONE), None);
    assert_eq!(account.cut().1, 0.003);
    // An answer that was cut says nothing of prices.
    account.answered(0.0, false);
    assert_eq!(account.message(SONNET, wrote(1000), DONE), None);
    assert_eq!(account.cut().1, 0.003);
}

#[test]
fn a_day_begins_at_midnight_and_a_clock_that_is_set_back_gives_nothing_away() {
    let (budgets, clock) = budgets(|pool| pool.budget_usd = dollars(2.0));
    let talk = conversation("", 0.0);
    let mut over_midnight = budgets.open(&talk, Caps::default()).unwrap();
    budgets.open(&talk, Caps::default()).unwrap().settle(1.5);
    assert!(budgets.admit(&talk).is_err());
    assert_eq!(budgets.days()[0].reset_time, Timestamp(11 * DAY_MICROS));
    clock.store(9 * DAY_MICROS, Ordering::Relaxed);
    assert!(budgets.admit(&talk).is_err());
    clock.store(10 * DAY_MICROS, Ordering::Relaxed);
    assert!(budgets.admit(&talk).is_err(), "it has been that day before");
    clock.store(11 * DAY_MICROS, Ordering::Relaxed);
    assert!(budgets.admit(&talk).is_ok());
    assert_eq!(server_day(&budgets), (0.0, 0.001), "what runs is still held");
    over_midnight.settle(0.5);
    assert_eq!(server_day(&budgets), (0.5, 0.0));
}

#[test]
fn a_turn_that_is_expected_to_cost_more_than_a_whole_budget_may_have_all_of_it_and_no_more() {
    let (budgets, clock) = budgets(|pool| pool.budget_usd = dollars(0.02));
    let talk = conversation("", 0.0);
    budgets.open(&talk, Caps::default()).unwrap().settle(0.045);
    assert!(budgets.admit(&talk).is_err());
    clock.store(11 * DAY_MICROS, Ordering::Relaxed);
    let mut account = budgets.open(&talk, Caps::default()).unwrap();
    assert_eq!(server_day(&budgets), (0.0, 0.02));
    assert_eq!(account.message(SONNET, wrote(1), GOES_ON), None, "it has spent next to nothing");
    account.settle(0.001);
    assert_eq!(server_day(&budgets), (0.001, 0.0));
}

#[test]
fn a_module_has_a_day_of_its_own_and_whom_nobody_asked_is_not_shown() {
    let (budgets, clock) = budgets(|pool| pool.module_budget_usd = dollars(1.0));
    let (counter, other) = (conversation("counter", 0.0), conversation("other", 0.0));
    budgets.open(&counter, Caps::default()).unwrap().settle(1.0);
    budgets.open(&conversation("", 0.0), Caps::default()).unwrap().settle(7.0);
    let exceeded = budgets.admit(&counter).unwrap_err();
    assert_eq!((exceeded.scope, exceeded.name.as_str()), (Scope::ModuleDay, "counter"));
    assert!(budgets.open(&other, Caps::default()).is_ok());
    let names: Vec<_> = budgets.days().into_iter().map(|day| (day.name, day.spent_usd)).collect();
    assert_eq!(names, [("counter".to_owned(), 1.0), ("other".to_owned(), 0.0)]);
    clock.store(11 * DAY_MICROS, Ordering::Relaxed);
    assert!(budgets.admit(&counter).is_ok());
    assert_eq!(budgets.days(), []);
}

proptest! {
    #[test]
    fn no_order_of_turns_breaks_the_books(
        turns in prop::collection::vec((0_u64..3, 0_u64..50_000, any::<bool>(), 0_u64..80_000), 1..60),
        limit in 1_u64..2000,
    ) {
        let (budgets, _) = budgets(|pool| pool.budget_usd = Some(Dollars(limit * 1_000_000)));
        let (mut running, mut spent): (Vec<(Account, u64)>, u64) = (Vec::new(), 0);
        for (what, tokens, settles, cost) in turns {
            match what {
                0 => running.extend(budgets.open(&conversation("", 0.0), Caps::default()).map(|a| (a, 0))),
                1 => if let Some((account, streamed)) = running.last_mut() {
                    let _ = account.message(SONNET, wrote(tokens), GOES_ON);
                    *streamed += tokens * 15_000;
                },
                _ => if let Some((mut account, streamed)) = running.pop() {
                    spent += if settles { account.settle(usd(cost * 1000)); cost * 1000 } else { streamed };
                },
            }
            let day = &budgets.days()[0];
            let held: u64 = running.iter().map(|(account, _)| account.reserved).sum();
            prop_assert_eq!((nano(day.spent_usd), nano(day.reserved_usd)), (spent, held));
            prop_assert!(running.iter().all(|(account, streamed)| account.reserved >= *streamed));
        }
        drop(running);
        prop_assert_eq!(server_day(&budgets).1, 0.0);
    }
}

#[test]
fn a_thousand_turns_at_once_keep_the_day_but_for_what_their_last_calls_cost() {
    const THREADS: usize = 8;
    /// What a call costs, and thereby how far each running turn may miss its reservation.
    const CALL: f64 = 0.015;
    let (budgets, _) = budgets(|pool| pool.budget_usd = dollars(5.0));
    let ran: usize = std::thread::scope(|scope| {
        let turns = |thread: usize| {
            let budgets = budgets.clone();
            move || {
                let of_thread = (0..125).filter(|turn| {
                    let Ok(mut account) = budgets.open(&conversation("", 0.0), Caps::default()) else {
                        return false;
                    };
                    // From one call to four.
                    let calls = 1 + (turn * 7 + thread * 3) % 4;
                    let mut cost = 0.0;
                    for call in 1..=calls {
                        cost += CALL;
                        let step = if call == calls { DONE } else { GOES_ON };
                        if account.message(SONNET, wrote(1000), step).is_some() {
                            break;
                        }
                    }
                    account.answered(cost, true);
                    account.settle(cost);
                    true
                });
                of_thread.count()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(turns(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let (spent, reserved) = server_day(&budgets);
    assert_eq!(reserved, 0.0);
    assert!(ran > 100 && ran < 1000, "{ran} ran, the others found no room");
    assert!(spent > 5.0 - 4.0 * CALL, "it is used up: {spent}");
    assert!(spent <= 5.0 + THREADS as f64 * CALL + 1e-9, "{spent}");
}
