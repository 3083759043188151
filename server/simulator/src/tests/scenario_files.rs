//! The scenario files we ship, and what is said of a wrong one.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::scenario::load;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

#[test]
fn every_shipped_scenario_loads_and_says_what_it_shows() {
    let files = shipped();
    assert!(files.len() > 20, "only {} scenarios", files.len());
    for file in files {
        assert_eq!(file.extension().unwrap(), "yaml", "{}", file.display());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# "), "{} says nothing", file.display());
        if let Err(e) = load(&file) {
            panic!("{e}: {}", e.source().unwrap());
        }
    }
}

#[test]
fn a_wrong_key_is_told_with_file_line_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yaml");
    for (text, name, line) in [
        ("turns:\n- steps:\n  - tetx: a\n", "tetx", "3"),
        ("turns:\n- stpes: []\n", "stpes", "2"),
        ("tunrs: []\n", "tunrs", "1"),
        ("turns:\n- steps:\n  - repeat: { text: a, cuont: 2 }\n", "cuont", "3"),
        ("start:\n- initialize: never\n", "never", "2"),
    ] {
        fs::write(&file, text).unwrap();
        let error = load(&file).unwrap_err();
        assert!(error.to_string().contains("wrong.yaml"), "{error}");
        let source = error.source().unwrap().to_string();
        assert!(source.contains(name) && source.contains(line), "{source}");
    }
    let missing = load(&dir.path().join("missing.yaml")).unwrap_err();
    assert!(missing.to_string().contains("missing.yaml"));
}
