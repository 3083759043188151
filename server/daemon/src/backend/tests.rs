//! What nobody but a backend may know.

use std::path::{Path, PathBuf};

fn rust_files(place: &Path, found: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in std::fs::read_dir(place).expect("a folder of ours") {
            rust_files(&entry.expect("an entry of it").path(), found);
        }
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        found.push(place.to_owned());
    }
}

#[test]
fn the_pool_and_the_turns_know_no_backend_by_name() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for room in ["dispatcher", "pool", "pool.rs", "turn", "health"] {
        rust_files(&source.join(room), &mut files);
    }
    assert!(files.len() > 20, "the rooms are where they were looked for: {files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of ours");
        for name in ["BackendKind", "CliBackend", "Program::", "Supervisor", "Launch {"] {
            assert!(!text.contains(name), "{} speaks of {name}", file.display());
        }
    }
}
