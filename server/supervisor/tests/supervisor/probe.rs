//! Whether a binary is a CLI we can use.

use std::{fs, path::PathBuf};

use claude_comms_supervisor::{OLDEST_SUPPORTED, ProbeError, probe_version};
use tempfile::TempDir;

use crate::support::{in_time, script};

/// A program that does this when run.
fn program(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claude");
    script(&path, &format!("#!/bin/sh\n{text}\n"));
    (directory, path)
}

async fn error(text: &str) -> (PathBuf, ProbeError) {
    let (_directory, path) = program(text);
    let error = in_time("the probe", probe_version(&path)).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    (path, error)
}

#[tokio::test]
async fn a_new_enough_cli_is_accepted_and_asked_in_an_empty_environment() {
    let (_directory, path) =
        program(r#"[ "$*" = --version ] && [ -z "$HOME$CARGO" ] && echo "2.1.330 (Claude Code)""#);
    let version = in_time("the probe", probe_version(&path)).await.unwrap();
    assert_eq!(version.to_string(), "2.1.330");
    let (_directory, oldest) = program(&format!("echo '{OLDEST_SUPPORTED} (simulated)'"));
    assert_eq!(in_time("the probe", probe_version(oldest)).await.unwrap(), OLDEST_SUPPORTED);
}

#[tokio::test]
async fn an_old_cli_is_refused_with_the_version_that_works() {
    let (_, error) = error("echo '2.1.247 (Claude Code)'").await;
    assert!(matches!(error, ProbeError::TooOld { .. }));
    let text = error.to_string();
    assert!(text.contains("2.1.247") && text.contains("2.1.248") && text.contains("claude update"), "{text}");
}

#[tokio::test]
async fn a_missing_binary_is_not_found_with_the_remedy() {
    let error = probe_version("/nonexistent/claude").await.unwrap_err();
    assert!(
        matches!(error, ProbeError::NotFound { .. }) && error.to_string().contains("npm install"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_does_not_run_is_not_executable() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "text").unwrap();
    let orphaned = directory.path().join("orphaned");
    script(&orphaned, "#!/nonexistent/interpreter\n");
    for path in [plain, orphaned, directory.path().to_owned()] {
        let error = probe_version(&path).await.unwrap_err();
        assert!(matches!(error, ProbeError::NotExecutable { .. }), "{}: {error:?}", path.display());
    }
}

#[tokio::test]
async fn something_else_is_not_taken_for_the_cli() {
    for text in ["echo hello", "true", "echo oh no >&2; exit 3", "echo v2.1.330", "exec yes"] {
        let (_, error) = error(text).await;
        assert!(matches!(error, ProbeError::Garbage { .. }), "{text}: {error:?}");
    }
    let (_, error) = error("echo oh no >&2; exit 3").await;
    assert!(error.to_string().contains("oh no"), "{error}");
}

#[tokio::test]
async fn a_binary_that_says_nothing_is_given_up_and_killed_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let (path, pids) = (directory.path().join("claude"), directory.path().join("pids"));
    script(
        &path,
        &format!("#!/bin/sh\nsleep 1000 & echo $! > {0}.new; mv {0}.new {0}\nwait\n", pids.display()),
    );
    let error = in_time("the probe", probe_version(&path)).await.unwrap_err();
    assert!(error.to_string().contains("no version within 10 s"), "{error}");
    let pid: i32 = fs::read_to_string(pids).unwrap().trim().parse().unwrap();
    let is_gone = || crate::support::Found::read(pid).is_none_or(|found| found.state == 'Z');
    crate::support::until(is_gone, || format!("{pid} is still there")).await;
}
