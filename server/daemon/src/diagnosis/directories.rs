//! Directories and their modes, and the room on their disk.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::{clock::Probe, run::Subject, verdict::Found};

/// Below this the next commits may fail; a transcript takes some KB a turn.
const LEAST_FREE_BYTES: u64 = 100 << 20;
const LITTLE_FREE_BYTES: u64 = 1 << 30;

pub(super) fn check(subject: &Subject) -> Found {
    let data_dir = &subject.config.data_dir;
    let mut all = vec![of_data_dir(data_dir, subject.attached.is_some())];
    if data_dir.is_dir() {
        for name in ["instances", "transcripts"] {
            let below = data_dir.join(name);
            if fs::symlink_metadata(&below).is_ok() {
                all.extend(owned(&below));
            }
        }
        for file in ["store.redb", "token"] {
            all.extend(private(&data_dir.join(file)));
        }
    }
    for (key, dirs) in
        [("module_dirs", &subject.config.module_dirs), ("template_dirs", &subject.config.template_dirs)]
    {
        for dir in dirs {
            if let Err(error) = fs::read_dir(dir) {
                all.push(Found::warning(
                    format!("{} of {key} cannot be read: {error}", dir.display()),
                    format!("make it, give the server's user the right to read it, or take it out of {key}"),
                ));
            }
        }
    }
    Found::worst(all).expect("there is one at least")
}

fn of_data_dir(path: &Path, server_runs: bool) -> Found {
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && !server_runs => {
            return to_be_made(path);
        }
        Err(error) => {
            return Found::problem(
                format!("the data directory {} cannot be looked at: {error}", path.display()),
                "bring it back, or set data_dir and restart the server",
            );
        }
    }
    if let Some(problem) = owned(path) {
        return problem;
    }
    match Probe::write(path) {
        Ok(_probe) => {
            Found::ok(format!("{} is the owner's alone to write, and can be written", path.display()))
                .with("data_dir", path.display())
        }
        Err(error) => Found::problem(
            format!("nothing can be written to the data directory {}: {error}", path.display()),
            "make room, mount it for writing, or give the server's user the right to write",
        ),
    }
}

/// The first start makes it, in the nearest directory that is there.
fn to_be_made(path: &Path) -> Found {
    let there = path.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => Found::ok(format!("{} is not there yet; the first start makes it", path.display())),
        Err(error) => Found::problem(
            format!(
                "{} is not there, and {} cannot be written to: {}",
                path.display(),
                there.display(),
                io::Error::from(error)
            ),
            "make it and give it to the server's user, or set data_dir",
        ),
    }
}

/// What is wrong with a directory that must be ours.
pub(super) fn owned(path: &Path) -> Option<Found> {
    let shown = path.display();
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Some(Found::problem(
                format!("{shown} cannot be looked at: {error}"),
                "give the server's user the right to enter it",
            ));
        }
    };
    if !metadata.is_dir() {
        return Some(Found::problem(
            format!("{shown} is not a directory of its own (links are not followed)"),
            "move it away, or name the directory itself",
        ));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Some(Found::problem(
            format!("{shown} belongs to user {}, the server runs as {own}", metadata.uid()),
            format!("run the server as the owner, or `chown {own} {shown}`"),
        ));
    }
    let mode = metadata.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| {
        Found::problem(
            format!("{shown} can be written by others (mode {mode:04o}): they could replace what is in it"),
            format!("check what is in it, then run `chmod 700 {shown}`"),
        )
    })
}

/// What is wrong with a file that only its owner may read, if it is there.
fn private(path: &Path) -> Option<Found> {
    let mode = fs::metadata(path).ok()?.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        Found::problem(
            format!("{} can be read by others (mode {mode:03o})", path.display()),
            format!("run `chmod 600 {}`", path.display()),
        )
    })
}

pub(super) fn disk(subject: &Subject) -> Found {
    let data_dir = &subject.config.data_dir;
    let there = data_dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(stat) => judge_disk(stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_favail),
        Err(error) => Found::warning(
            format!("the room on the disk is not known: {}", io::Error::from(error)),
            "see whether the file system of data_dir is well (`df`, the system's log)",
        ),
    }
}

fn judge_disk(free_bytes: u64, free_inodes: u64) -> Found {
    const REMEDY: &str =
        "make room on the disk of data_dir; conversations that are not needed can be deleted";
    let free = format!("{} MB", free_bytes >> 20);
    let found = if free_bytes < LEAST_FREE_BYTES {
        Found::problem(format!("only {free} are free: writes will fail soon"), REMEDY)
    } else if free_inodes != 0 && free_inodes < 1000 {
        Found::problem(format!("only {free_inodes} more files can be made"), REMEDY)
    } else if free_bytes < LITTLE_FREE_BYTES {
        Found::warning(format!("only {free} are free"), REMEDY)
    } else {
        Found::ok(format!("{free} are free"))
    };
    found.with("free_bytes", free_bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::diagnosis::Verdict;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_data_directory_that_others_write_is_no_directory_or_is_gone_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o700);
        let good = of_data_dir(dir.path(), true);
        assert_eq!((good.verdict, good.remedy.as_str()), (Verdict::Ok, ""), "{good:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the probe is gone");
        chmod(dir.path(), 0o770);
        let open = of_data_dir(dir.path(), true);
        assert!(open.verdict == Verdict::Problem && open.remedy.contains("chmod 700"), "{open:?}");
        chmod(dir.path(), 0o700);
        let missing = dir.path().join("missing/below");
        assert_eq!(of_data_dir(&missing, false).verdict, Verdict::Ok, "the first start makes it");
        assert_eq!(of_data_dir(&missing, true).verdict, Verdict::Problem, "it is gone under the server");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(of_data_dir(&file, true).message.contains("not a directory"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(of_data_dir(&link, true).verdict, Verdict::Problem);
    }

    #[test]
    fn a_file_that_others_can_read_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        assert_eq!(private(&file), None, "none is no problem");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o600);
        assert_eq!(private(&file), None);
        chmod(&file, 0o644);
        let found = private(&file).unwrap();
        assert!(found.verdict == Verdict::Problem && found.remedy.contains("chmod 600"), "{found:?}");
    }

    #[test]
    fn a_disk_that_fills_warns_and_then_is_a_problem() {
        for (bytes, inodes, verdict) in [
            (5 << 30, 1_000_000, Verdict::Ok),
            (5 << 30, 0, Verdict::Ok),
            (500 << 20, 1_000_000, Verdict::Warning),
            (50 << 20, 1_000_000, Verdict::Problem),
            (5 << 30, 10, Verdict::Problem),
        ] {
            let found = judge_disk(bytes, inodes);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok, "{found:?}");
        }
    }
}
