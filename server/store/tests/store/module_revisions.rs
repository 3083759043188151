//! The revisions of a module: listed without their descriptors, each found by its version.

use claude_comms_model::ModuleRecord;
use claude_comms_store::{ModuleRevisionInfo, RegisterModule, RegisterOutcome, Store};

use crate::support::*;

/// A version of the module `billing`, with its content.
pub(crate) fn version(version: &str, content: &str) -> RegisterModule {
    let descriptor = format!("{{\"version\":\"{version}\",\"content\":\"{content}\"}}");
    RegisterModule {
        name: "billing".to_owned(),
        version: version.to_owned(),
        digest: digest(&descriptor),
        descriptor,
        path: "modules/billing".to_owned(),
        force: false,
        must_exist: false,
        expected_digest: None,
    }
}

/// Registers, and nothing else will do.
pub(crate) async fn stored(store: &dyn Store, module: RegisterModule) -> ModuleRecord {
    match store.register_module(module).await.unwrap() {
        RegisterOutcome::Stored(record) => *record,
        other => panic!("not stored: {other:?}"),
    }
}

/// What the list of revisions says of a record.
pub(crate) fn info(record: &ModuleRecord) -> ModuleRevisionInfo {
    ModuleRevisionInfo {
        version: record.version.clone(),
        revision: record.revision,
        number: record.number,
        digest: record.digest.clone(),
        update_time: record.update_time,
        current: record.current,
    }
}

/// All revisions of a name.
pub(crate) async fn revisions(store: &dyn Store, name: &str) -> Vec<ModuleRevisionInfo> {
    store.module_revisions(name.to_owned(), usize::MAX).await.unwrap()
}

async fn one(store: &dyn Store, version: &str, revision: Option<u32>) -> Option<ModuleRecord> {
    store.module_revision("billing".to_owned(), version.to_owned(), revision).await.unwrap()
}

#[tokio::test]
async fn a_revision_is_found_whole_by_its_version_and_number_within_it() {
    let place = place();
    let mut records = Vec::new();
    for (of, content) in
        [("1.0.0", "a"), ("1.0.0", "b"), ("1.1.0", "a"), ("1.1.0+build.7", "a"), ("2.0.0", "a")]
    {
        records.push(stored(&*place.store, version(of, content)).await);
    }
    let back = RegisterModule { force: true, ..version("1.0.0", "a") };
    stored(&*place.store, back).await;
    let place = place.reopened().await;
    let store = &*place.store;
    for record in &mut records {
        record.current = record.number == 1;
        assert_eq!(one(store, &record.version, Some(record.revision)).await.as_ref(), Some(&*record));
    }
    // The last content of a version is the one that was registered last as new, current or not.
    for (version, number) in [("1.0.0", 2), ("1.1.0", 3), ("1.1.0+build.7", 4), ("2.0.0", 5)] {
        assert_eq!(one(store, version, None).await.as_ref(), Some(&records[number - 1]), "{version}");
    }
    for (version, revision) in [
        ("1.0.0", Some(3)),
        ("1.0.0", Some(0)),
        ("1.1.0", Some(2)),
        ("1.1.0+build.7", Some(1)),
        ("1.1", None),
        ("", None),
    ] {
        assert_eq!(one(store, version, revision).await, None, "{version} {revision:?}");
    }
    // They stay when the name is no longer registered, and none is current then.
    store.unregister_module("billing".to_owned()).await.unwrap();
    let first = ModuleRecord { current: false, ..records[0].clone() };
    assert_eq!(one(store, "1.0.0", Some(1)).await, Some(first));
    assert!(revisions(store, "billing").await.iter().all(|revision| !revision.current));
}

#[tokio::test]
async fn revisions_are_listed_newest_first_and_no_more_than_wanted() {
    let place = place();
    let store = &*place.store;
    let mut expected = Vec::new();
    for content in ["a", "b", "c"] {
        let record = stored(store, version("1.0.0", content)).await;
        expected.insert(0, ModuleRevisionInfo { current: content == "c", ..info(&record) });
    }
    for limit in 0..5 {
        let found = store.module_revisions("billing".to_owned(), limit).await.unwrap();
        assert_eq!(found, expected[..limit.min(3)]);
    }
}
