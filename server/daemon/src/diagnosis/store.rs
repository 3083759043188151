//! The store: can it be written, how long does that take, and how large is it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use claude_comms_store::{OpenError, Store, inspect};

use super::{
    run::{Subject, blocking},
    verdict::Found,
};
use crate::backend::chain;

/// A commit takes some milliseconds on a local disk; each turn waits for two or three.
const SLOW: Duration = Duration::from_millis(250);

pub(super) async fn check(subject: &Subject) -> Found {
    let data_dir = subject.config.data_dir.clone();
    let size = std::fs::metadata(data_dir.join("store.redb")).map_or(0, |metadata| metadata.len());
    let found = match &subject.attached {
        Some(attached) => of_running(attached.store.as_ref()).await,
        None => blocking(move || of_directory(&data_dir)).await,
    };
    found.with("size_bytes", size)
}

async fn of_running(store: &dyn Store) -> Found {
    let start = Instant::now();
    if let Err(error) = store.probe_write().await {
        return Found::problem(
            format!("the store cannot be written: {}", chain(&error)),
            "see the server's log, make room on the disk or mend it, then restart the server; nothing that was accepted is lost",
        );
    }
    let took = start.elapsed();
    match store.counts().await {
        Ok(counts) => judge_write(took)
            .with("schema_version", counts.schema_version)
            .with("conversations", counts.conversations)
            .with("turns", counts.turns),
        Err(error) => Found::problem(
            format!("the store cannot be read: {}", chain(&error)),
            "see the server's log; restore a backup if the file is damaged",
        ),
    }
}

fn judge_write(took: Duration) -> Found {
    let said = format!("a durable write takes {:.1} ms", took.as_secs_f64() * 1000.0);
    if took > SLOW {
        Found::warning(
            format!("{said}, and each turn waits for some of them"),
            "put data_dir on a faster, local disk, or see what else keeps the disk busy",
        )
    } else {
        Found::ok(said)
    }
}

/// Without a server: looked at only, nothing is opened or written.
fn of_directory(data_dir: &Path) -> Found {
    match inspect(data_dir) {
        Ok(None) => Found::ok("there is no store yet; the first start makes it"),
        Ok(Some(version)) => {
            Found::ok("the store is whole and can be opened").with("schema_version", version)
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &OpenError) -> Found {
    let message = chain(error);
    match error {
        OpenError::InUse { holder, .. } => Found::problem(
            message,
            format!(
                "a server holds it that does not answer here (process {holder}): name its endpoint with --server, or end it"
            ),
        ),
        OpenError::Unusable { .. } => {
            Found::problem(message, "give the server's user the right to read and write it, or set data_dir")
        }
        OpenError::Shared { .. } => {
            Found::problem(message, "give the directory to the server's user alone (mode 700)")
        }
        OpenError::Newer { .. } => Found::problem(message, "use the newer claude-comms, or another data_dir"),
        OpenError::Corrupt { .. } => {
            Found::problem(message, "restore a backup, or move the file away to start anew")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use claude_comms_store::{Options, RedbStore};

    use super::*;
    use crate::diagnosis::Verdict;

    #[test]
    fn a_store_that_is_missing_whole_held_damaged_or_another_s_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let verdict = |words: &str, verdict: Verdict| {
            let found = of_directory(dir.path());
            assert!(found.verdict == verdict && found.message.contains(words), "{found:?}");
            assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok, "{found:?}");
        };
        verdict("no store yet", Verdict::Ok);
        let store = RedbStore::open(dir.path(), Options::default()).unwrap();
        verdict("in use by another", Verdict::Problem);
        drop(store);
        let file = dir.path().join("store.redb");
        let before = fs::read(&file).unwrap();
        verdict("is whole", Verdict::Ok);
        assert!(before == fs::read(&file).unwrap(), "it was looked at only");
        fs::write(&file, "no store").unwrap();
        verdict("not a readable claude-comms store", Verdict::Problem);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        verdict("can be written by others", Verdict::Problem);
    }

    #[tokio::test]
    async fn a_closed_store_is_a_problem_and_an_open_one_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let store = RedbStore::open(dir.path(), Options::default()).unwrap();
        let found = of_running(&store).await;
        assert!(found.verdict <= Verdict::Warning && found.details["turns"] == "0", "{found:?}");
        store.close().await;
        let found = of_running(&store).await;
        assert!(found.verdict == Verdict::Problem && found.remedy.contains("restart"), "{found:?}");
    }

    #[test]
    fn slow_writes_are_a_warning() {
        assert_eq!(judge_write(Duration::from_millis(3)).verdict, Verdict::Ok);
        let slow = judge_write(Duration::from_secs(1));
        assert!(slow.verdict == Verdict::Warning && slow.remedy.contains("disk"), "{slow:?}");
    }
}
