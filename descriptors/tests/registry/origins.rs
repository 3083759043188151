//! Which entry of a name counts, how entries are listed, replaced and suggested.

use std::sync::Arc;

use claude_comms_descriptors::registry::{Changes, Entry, Origin, Query, Registry};

use crate::{described, entry, module, registry, strings};

fn found(registry: &Registry, text: &str) -> Vec<String> {
    let query = Query { text: Some(text.to_owned()), ..Query::default() };
    registry.discover(&query, 0, 10).matches.iter().map(|found| found.entry.name().to_owned()).collect()
}

fn listed(registry: &Registry, after: Option<&str>, limit: usize, filter: Option<Origin>) -> Vec<String> {
    registry.list(after, limit, filter).iter().map(|entry| entry.name().to_owned()).collect()
}

#[test]
fn registered_beats_directory_beats_built_in_in_whatever_order_they_come() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let mut registry = Registry::new();
        for at in order {
            registry.put(entry(described("marker", Origin::ALL[at].as_str()), Origin::ALL[at]));
        }
        assert_eq!(registry.get("marker").unwrap().descriptor.description, "registered");
        assert_eq!(registry.origins("marker"), Origin::ALL);
        assert_eq!(registry.len(), 1);
        assert_eq!(registry.get_from("marker", Origin::BuiltIn).unwrap().descriptor.description, "built_in");
    }
}

#[test]
fn removing_what_counts_uncovers_the_next_origin_and_finds_it_again() {
    let mut registry = Registry::new();
    registry.put(entry(described("marker", "zebra"), Origin::BuiltIn));
    registry.put(entry(described("marker", "yak"), Origin::Registered));
    assert!(found(&registry, "zebra").is_empty());
    assert_eq!(found(&registry, "yak"), ["marker"]);

    let removed = registry.remove("marker", Origin::Registered).unwrap();
    assert_eq!(removed.descriptor.description, "yak");
    assert_eq!(registry.get("marker").unwrap().origin, Origin::BuiltIn);
    assert_eq!(found(&registry, "zebra"), ["marker"]);
    assert!(found(&registry, "yak").is_empty());

    registry.remove("marker", Origin::BuiltIn).unwrap();
    assert!(registry.is_empty());
    assert!(registry.get("marker").is_none());
    assert!(found(&registry, "zebra").is_empty());
}

#[test]
fn a_covered_module_can_change_and_go_without_being_found() {
    let mut registry = Registry::new();
    registry.put(entry(described("marker", "yak"), Origin::Registered));
    registry.put(entry(described("marker", "zebra"), Origin::Directory));
    registry.put(entry(described("marker", "okapi"), Origin::Directory));
    assert!(found(&registry, "zebra okapi").is_empty());
    assert_eq!(registry.remove("marker", Origin::Directory).unwrap().descriptor.description, "okapi");
    assert_eq!(registry.origins("marker"), [Origin::Registered]);
    assert_eq!(found(&registry, "yak"), ["marker"]);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut registry = registry([module("marker")]);
    assert!(registry.remove("marker", Origin::Directory).is_none());
    assert!(registry.remove("other", Origin::Registered).is_none());
    assert_eq!(registry.names().collect::<Vec<_>>(), ["marker"]);
    assert!(registry.origins("other").is_empty());
}

#[test]
fn put_returns_what_it_replaces() {
    let mut registry = Registry::new();
    assert!(registry.put(entry(described("marker", "one"), Origin::Directory)).is_none());
    let replaced = registry.put(entry(described("marker", "two"), Origin::Directory)).unwrap();
    assert_eq!(replaced.descriptor.description, "one");
    assert!(found(&registry, "one").is_empty());
    assert_eq!(found(&registry, "two"), ["marker"]);
}

#[test]
fn replacing_an_origin_keeps_equal_modules_and_tells_what_changed() {
    let mut registry = Registry::new();
    for (name, text) in [("kept", "a"), ("moved", "b"), ("changed", "zebra"), ("gone", "okapi")] {
        registry.put(entry(described(name, text), Origin::Directory));
    }
    registry.put(entry(module("other_origin"), Origin::BuiltIn));
    let before = Arc::clone(registry.get("kept").unwrap());

    let later = |name, text| Entry {
        revision: 9,
        create_time_micros: 99,
        update_time_micros: 99,
        ..entry(described(name, text), Origin::Directory)
    };
    let changes = registry.replace(
        Origin::Directory,
        vec![
            later("kept", "a"),
            Entry { path: "elsewhere".to_owned(), ..later("moved", "b") },
            later("changed", "yak"),
            // The origin asked for is the one it gets.
            Entry { origin: Origin::BuiltIn, ..later("added", "c") },
        ],
    );

    assert_eq!(
        changes,
        Changes {
            added: strings(&["added"]),
            changed: strings(&["changed"]),
            removed: strings(&["gone"]),
            kept: 2
        }
    );
    assert!(Arc::ptr_eq(&before, registry.get("kept").unwrap()), "an equal module is the very same entry");
    let moved = registry.get("moved").unwrap();
    assert_eq!((moved.path.as_str(), moved.revision, moved.create_time_micros), ("elsewhere", 1, 10));
    assert_eq!(registry.get("changed").unwrap().revision, 9);
    assert_eq!(registry.get("added").unwrap().origin, Origin::Directory);
    assert_eq!(listed(&registry, None, 9, None), ["added", "changed", "kept", "moved", "other_origin"]);
    assert_eq!(found(&registry, "yak"), ["changed"]);
    assert!(found(&registry, "zebra okapi").is_empty());
}

#[test]
fn a_digest_that_did_not_change_hides_no_new_content() {
    let mut registry = Registry::new();
    let same = |text| Entry { digest: "d".to_owned(), ..entry(described("marker", text), Origin::Directory) };
    registry.put(same("zebra"));
    assert_eq!(registry.replace(Origin::Directory, vec![same("yak")]).changed, ["marker"]);
    assert_eq!(found(&registry, "yak"), ["marker"]);
}

#[test]
fn lists_are_by_name_page_by_page_and_filtered_by_the_origin_that_counts() {
    let mut registry = registry(["b", "d", "a"].map(module));
    registry.put(entry(module("c"), Origin::BuiltIn));
    registry.put(entry(module("a"), Origin::BuiltIn));
    assert_eq!(listed(&registry, None, 3, None), ["a", "b", "c"]);
    assert_eq!(listed(&registry, Some("b"), 3, None), ["c", "d"]);
    assert_eq!(listed(&registry, Some("bb"), 1, None), ["c"]);
    assert_eq!(listed(&registry, None, 9, Some(Origin::BuiltIn)), ["c"], "a is covered");
    assert_eq!(listed(&registry, Some("d"), 9, None), Vec::<String>::new());
    assert_eq!(listed(&registry, None, 0, None), Vec::<String>::new());
}

#[test]
fn near_names_are_slips_other_spellings_beginnings_and_parts() {
    let registry = registry(
        ["arangodb", "arango_backup", "marker", "run-queries", "postgres", "my_postgres"].map(module),
    );
    assert_eq!(registry.near("arangdb", 1), ["arangodb"]);
    assert_eq!(registry.near("markr", 1), ["marker"]);
    assert_eq!(registry.near("amrker", 1), ["marker"]);
    assert_eq!(registry.near("Run_Queries", 1), ["run-queries"]);
    assert_eq!(registry.near("arango", 3), ["arangodb", "arango_backup"]);
    assert_eq!(registry.near("postgres", 3), ["my_postgres"], "the name itself is no suggestion");
    assert_eq!(registry.near("postgresql", 2), ["postgres", "my_postgres"]);
    assert_eq!(registry.near("zzz", 3), Vec::<String>::new());
    assert_eq!(registry.near("", 3), Vec::<String>::new());
    assert_eq!(registry.near(&"a".repeat(100_000), 3), Vec::<String>::new());
    assert_eq!(registry.near("größe", 3), Vec::<String>::new());
}
