//! Registered modules: which version may take which one's place, and what is kept of the others.

use claude_comms_model::ModuleRecord;
use claude_comms_store::{RegisterModule, RegisterOutcome, Store, StoreError};

use crate::{
    module_revisions::{info, revisions, stored, version},
    support::*,
};

/// The current one and all: version, revision, number.
async fn state(store: &dyn Store) -> (Vec<u64>, Vec<(String, u32, u64)>) {
    let current = store.modules().await.unwrap();
    let all = revisions(store, "billing").await;
    let marked: Vec<_> = all.iter().filter(|record| record.current).cloned().collect();
    assert_eq!(marked, current.iter().map(info).collect::<Vec<_>>());
    assert_eq!(store.counts().await.unwrap().modules, current.len() as u64);
    (
        current.into_iter().map(|record| record.number).collect(),
        all.into_iter().map(|record| (record.version, record.revision, record.number)).collect(),
    )
}

#[tokio::test]
async fn a_registered_module_is_there_whole_after_reopening() {
    let mut place = place();
    let mut new = version("1.2.3", &"x".repeat(500_000));
    new.name = "b\u{fc}ro".to_owned();
    let record = stored(&*place.store, new.clone()).await;
    assert_eq!((record.revision, record.number, record.current), (1, 1, true));
    assert_eq!((&record.descriptor, &record.digest), (&new.descriptor, &new.digest));
    assert_eq!((&record.name, &record.version, &record.path), (&new.name, &new.version, &new.path));
    assert_eq!(record.create_time, record.update_time);
    for _ in 0..2 {
        assert_eq!(place.store.modules().await.unwrap(), std::slice::from_ref(&record));
        assert_eq!(revisions(&*place.store, &new.name).await, [info(&record)]);
        let found = place.store.module_revision(new.name.clone(), "1.2.3".to_owned(), Some(1)).await;
        assert_eq!(found.unwrap().as_ref(), Some(&record));
        // No prefix and no neighbour of the name has it.
        for other in ["b\u{fc}r", "b\u{fc}ro2", ""] {
            assert_eq!(revisions(&*place.store, other).await, []);
            let found = place.store.module_revision(other.to_owned(), "1.2.3".to_owned(), None).await;
            assert_eq!(found.unwrap(), None);
        }
        place = place.reopened().await;
    }
}

#[tokio::test]
async fn the_same_content_again_changes_nothing_but_the_path() {
    let place = place();
    let first = stored(&*place.store, version("1.0.0", "a")).await;
    let same = place.store.register_module(version("1.0.0", "a")).await.unwrap();
    assert_eq!(same, RegisterOutcome::Unchanged(Box::new(first.clone())));
    let moved = RegisterModule { path: "elsewhere".to_owned(), ..version("1.0.0", "a") };
    let moved = place.store.register_module(moved).await.unwrap();
    let expected = ModuleRecord { path: "elsewhere".to_owned(), ..first };
    assert_eq!(moved, RegisterOutcome::Unchanged(Box::new(expected.clone())));
    let place = place.reopened().await;
    let found = place.store.module_revision("billing".to_owned(), "1.0.0".to_owned(), None).await.unwrap();
    assert_eq!(found, Some(expected));
    assert_eq!(state(&*place.store).await.1.len(), 1);
}

#[tokio::test]
async fn new_content_of_a_version_is_a_new_revision_of_it() {
    let place = place();
    let store = &*place.store;
    let first = stored(store, version("1.0.0", "a")).await;
    for (new, expected) in [
        (version("1.0.0", "b"), (2, 2)),
        (version("1.1.0", "b"), (1, 3)),
        (version("1.1.0", "c"), (2, 4)),
        // Build metadata makes no version of its own.
        (version("1.1.0+build.7", "c"), (3, 5)),
    ] {
        let record = stored(store, new).await;
        assert_eq!((record.revision, record.number), expected);
        assert_eq!(record.create_time, first.create_time);
        assert!(record.update_time >= first.update_time);
    }
    let (current, all) = state(store).await;
    assert_eq!((current, all.len()), (vec![5], 5));
    assert_eq!(all.iter().map(|(_, _, number)| *number).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_lower_version_takes_the_place_by_force_only() {
    let place = place();
    let store = &*place.store;
    let orders =
        [("1.0.0", "0.9.9"), ("1.10.0", "1.9.0"), ("2.0.0", "2.0.0-rc.2"), ("3.0.0-rc.10", "3.0.0-rc.9")];
    for (higher, lower) in orders {
        let current = stored(store, RegisterModule { force: true, ..version(higher, "a") }).await;
        let before = state(store).await;
        let refused = store.register_module(version(lower, "a")).await.unwrap();
        assert_eq!(refused, RegisterOutcome::Lower(Box::new(current)));
        assert_eq!(state(store).await, before);
        let record = stored(store, RegisterModule { force: true, ..version(lower, "a") }).await;
        assert_eq!(record.version, lower);
    }
}

#[tokio::test]
async fn content_that_was_there_before_becomes_current_without_a_new_revision() {
    let place = place();
    let store = &*place.store;
    let first = stored(store, version("1.0.0", "a")).await;
    stored(store, version("1.0.0", "b")).await;
    stored(store, version("2.0.0", "a")).await;
    let again = RegisterModule { force: true, path: "back".to_owned(), ..version("1.0.0", "a") };
    let back = stored(store, again).await;
    assert_eq!(back, ModuleRecord { path: "back".to_owned(), ..first });
    assert_eq!(store.modules().await.unwrap(), [back]);
    assert_eq!(state(store).await.0, [1]);
    let next = stored(store, version("1.0.0", "c")).await;
    assert_eq!((next.revision, next.number), (3, 4));
}

#[tokio::test]
async fn an_unregistered_name_keeps_its_revisions_and_takes_any_version() {
    let place = place();
    let store = &*place.store;
    assert_eq!(store.unregister_module("billing".to_owned()).await.unwrap(), None);
    stored(store, version("1.0.0", "a")).await;
    let last = stored(store, version("2.0.0", "a")).await;
    let gone = store.unregister_module("billing".to_owned()).await.unwrap().unwrap();
    assert_eq!(gone, ModuleRecord { current: false, ..last });
    assert_eq!(store.unregister_module("billing".to_owned()).await.unwrap(), None);
    let place = place.reopened().await;
    let store = &*place.store;
    let (current, all) = state(store).await;
    assert_eq!((current.len(), all.len()), (0, 2));
    let lower = stored(store, version("0.1.0", "a")).await;
    assert_eq!((lower.revision, lower.number), (1, 3));
    store.unregister_module("billing".to_owned()).await.unwrap();
    assert_eq!(stored(store, version("2.0.0", "a")).await.number, 2);
}

#[tokio::test]
async fn what_must_be_there_or_unchanged_is_checked_in_the_act() {
    let place = place();
    let store = &*place.store;
    let existing = |module| RegisterModule { must_exist: true, ..module };
    let over = |digest: &str, module| RegisterModule { expected_digest: Some(digest.to_owned()), ..module };
    for module in [existing(version("1.0.0", "a")), over("00", version("1.0.0", "a"))] {
        assert_eq!(store.register_module(module).await.unwrap(), RegisterOutcome::Absent);
    }
    assert_eq!(state(store).await, (vec![], vec![]));
    let first = stored(store, version("1.0.0", "a")).await;
    let second = stored(store, existing(over(&first.digest, version("1.0.0", "b")))).await;
    for force in [false, true] {
        let late = RegisterModule { force, ..over(&first.digest, version("1.0.0", "c")) };
        let outcome = store.register_module(late).await.unwrap();
        assert_eq!(outcome, RegisterOutcome::Changed(Box::new(second.clone())));
    }
    store.unregister_module("billing".to_owned()).await.unwrap();
    let outcome = store.register_module(existing(version("1.0.0", "a"))).await.unwrap();
    assert_eq!(outcome, RegisterOutcome::Absent);
    assert_eq!(state(store).await.1.len(), 2);
}

#[tokio::test]
async fn what_is_no_version_is_refused() {
    let place = place();
    for text in ["", "1", "1.0", "v1.0.0", "1.0.0 ", "01.0.0"] {
        let outcome = place.store.register_module(version(text, "a")).await;
        assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{text}: {outcome:?}");
    }
    assert_eq!(state(&*place.store).await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_registrations_at_the_same_time_none_overlooks_another() {
    let place = place();
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..48_u32 {
        let store = place.store.clone();
        // Each version twice, in an order that is neither up nor down.
        let new = version(&format!("1.{}.0", count * 7 % 24), &format!("of {count}"));
        tasks.spawn(async move { store.register_module(new).await.unwrap() });
    }
    let (mut numbers, mut lower) = (Vec::new(), 0);
    for outcome in tasks.join_all().await {
        match outcome {
            RegisterOutcome::Stored(record) => numbers.push(record.number),
            RegisterOutcome::Lower(_) => lower += 1,
            other => panic!("{other:?}"),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(numbers.len() + lower, 48);
    let (current, all) = state(&*place.store).await;
    assert_eq!(current, [numbers.len() as u64]);
    let minor = |text: &str| semver::Version::parse(text).unwrap().minor;
    assert!(all.windows(2).all(|pair| minor(&pair[0].0) >= minor(&pair[1].0)), "{all:?}");
    assert_eq!((all[0].0.as_str(), all[0].1), ("1.23.0", 2));

    // Of two that saw the same content, one replaces it.
    let seen = place.store.modules().await.unwrap()[0].digest.clone();
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..8 {
        let new = version("2.0.0", &format!("by {count}"));
        let (store, new) =
            (place.store.clone(), RegisterModule { expected_digest: Some(seen.clone()), ..new });
        tasks.spawn(async move { store.register_module(new).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, RegisterOutcome::Stored(_))).count(), 1);
}

#[tokio::test]
async fn modules_come_by_name() {
    let place = place();
    for name in ["stock", "billing", "shop"] {
        stored(&*place.store, RegisterModule { name: name.to_owned(), ..version("1.0.0", "a") }).await;
    }
    let names: Vec<_> = place.store.modules().await.unwrap().into_iter().map(|record| record.name).collect();
    assert_eq!(names, ["billing", "shop", "stock"]);
}
