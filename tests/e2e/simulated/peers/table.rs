//! The table of reports is true: every test that it names is there, and every test here is named.

use std::{collections::BTreeSet, fs, path::Path};

use claude_comms_tests::tools::repository;

/// The text of all Rust sources below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The tests in a source.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let marked = source.split("#[tokio::test").skip(1).chain(source.split("#[test]").skip(1));
    let names = marked.filter_map(|rest| rest.split_once("fn ")?.1.split_once('(').map(|(name, _)| name));
    names.filter(|name| name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_'))
}

#[test]
fn every_test_in_the_table_of_reports_exists_and_every_test_of_a_report_is_in_it() {
    let repository = repository();
    let table = fs::read_to_string(repository.join("docs/peers-bugs.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('#') && line.matches(" | ").count() == 2)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "the table is read: {} rows", rows.len());
    let mut everything = String::new();
    for folder in ["tests", "server"] {
        sources(&repository.join(folder), &mut everything);
    }
    let there: BTreeSet<&str> = tests(&everything).collect();
    let mut named = BTreeSet::new();
    for row in &rows {
        let [report, promise, kept_by] = row.as_slice() else { panic!("not three columns: {row:?}") };
        assert!(report.contains('/') && !promise.is_empty(), "{row:?}");
        let names: Vec<&str> = kept_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test keeps {report} out");
        for name in names {
            assert!(there.contains(name), "{report} names a test that is not there: {name}");
            named.insert(name);
        }
    }
    let mut ours = String::new();
    sources(&repository.join("tests/e2e/simulated/peers"), &mut ours);
    ours.push_str(&fs::read_to_string(repository.join("tests/e2e/real_cli/peers.rs")).unwrap());
    let missing: Vec<&str> = tests(&ours)
        .filter(|name| {
            !named.contains(name)
                && *name != "every_test_in_the_table_of_reports_exists_and_every_test_of_a_report_is_in_it"
        })
        .collect();
    assert!(missing.is_empty(), "docs/peers-bugs.md does not name {missing:?}");
}
