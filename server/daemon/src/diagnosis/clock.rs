//! The clock: plausible, not set while the server ran, and the same as the file system's.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{run::Subject, verdict::Found};

/// No copy of this program is older: 2026-01-01.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// And none will be run after 2100-01-01.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// Adjustments by less than this are how clocks are kept right.
const JUMP: Duration = Duration::from_secs(5);
/// A file system that counts whole seconds is right within this.
const SKEW: Duration = Duration::from_secs(3);

const REMEDY: &str =
    "keep the machine's clock right, by an NTP service as a rule (`timedatectl`), and restart the server";

/// What the clocks say.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    now: SystemTime,
    /// For a running server: how much of both clocks has passed since its start.
    since_start: Option<(Duration, Option<Duration>)>,
    /// When the file system says a file was written that was written now.
    file_time: Option<SystemTime>,
}

pub(super) fn check(subject: &Subject) -> Found {
    let now = SystemTime::now();
    let since_start = subject.attached.as_ref().map(|attached| {
        let (instant, wall) = attached.started;
        (Instant::now().duration_since(instant), now.duration_since(wall).ok())
    });
    judge(Clocks { now, since_start, file_time: file_time(&subject.config.data_dir) })
}

fn judge(clocks: Clocks) -> Found {
    let mut all = vec![Found::ok("plausible, and the same as the file system's")];
    let since_epoch = clocks.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if !(EARLIEST..LATEST).contains(&since_epoch) {
        all.push(Found::problem("the date is implausible; records would be sorted wrongly", REMEDY));
    }
    match clocks.since_start {
        Some((_, None)) => {
            all.push(Found::warning("the clock was set back to before the server's start", REMEDY));
        }
        Some((passed, Some(shown))) if passed.abs_diff(shown) > JUMP => {
            let jump = humantime::format_duration(Duration::from_secs(passed.abs_diff(shown).as_secs()));
            let message = if shown > passed {
                format!(
                    "the clock went {jump} forward since the server's start: it was set, or the machine slept"
                )
            } else {
                format!("the clock was set back by {jump} since the server's start")
            };
            all.push(Found::warning(message, REMEDY));
        }
        _ => {}
    }
    if let Some(file_time) = clocks.file_time {
        let skew = match file_time.duration_since(clocks.now) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        if skew > SKEW {
            all.push(Found::warning(
                format!("the file system's clock differs by {} s, as one over a network may", skew.as_secs()),
                "put data_dir on a local disk, or keep both machines' clocks right",
            ));
        }
    }
    Found::worst(all).expect("there is one at least")
}

/// Writes a file and looks at its time. `None` where that is not possible, which other checks tell.
fn file_time(data_dir: &Path) -> Option<SystemTime> {
    let file = Probe::write(data_dir).ok()?;
    fs::metadata(&file.0).ok()?.modified().ok()
}

/// A file that is written to see whether that is possible, and removed again.
pub(super) struct Probe(PathBuf);

impl Probe {
    /// Writes it and waits until it is on disk.
    pub(super) fn write(directory: &Path) -> std::io::Result<Self> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let path = directory.join(format!(".doctor-{}", uuid::Uuid::new_v4().simple()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let probe = Self(path);
        file.write_all(b"doctor")?;
        file.sync_all()?;
        Ok(probe)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // What cannot be removed could not be made either.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Verdict;

    fn good() -> Clocks {
        let now = UNIX_EPOCH + EARLIEST + Duration::from_secs(1_000_000);
        let hour = Duration::from_secs(3600);
        Clocks { now, since_start: Some((hour, Some(hour))), file_time: Some(now) }
    }

    #[track_caller]
    fn expect(clocks: Clocks, verdict: Verdict, words: &str) {
        let found = judge(clocks);
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.message.contains(words), "{found:?}");
        assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok, "{found:?}");
    }

    #[test]
    fn a_clock_that_cannot_be_right_was_set_or_differs_from_the_disk_s_is_told() {
        let hour = Duration::from_secs(3600);
        expect(good(), Verdict::Ok, "plausible");
        expect(Clocks { since_start: None, file_time: None, ..good() }, Verdict::Ok, "plausible");
        let epoch = Clocks { now: UNIX_EPOCH, since_start: None, file_time: None };
        expect(epoch, Verdict::Problem, "implausible");
        let future = Clocks { now: UNIX_EPOCH + LATEST, ..epoch };
        expect(future, Verdict::Problem, "implausible");
        let forward = Clocks { since_start: Some((hour, Some(hour * 2))), ..good() };
        expect(forward, Verdict::Warning, "went 1h forward");
        let back = Clocks { since_start: Some((hour * 2, Some(hour))), ..good() };
        expect(back, Verdict::Warning, "set back by 1h");
        expect(
            Clocks { since_start: Some((hour, None)), ..good() },
            Verdict::Warning,
            "before the server's start",
        );
        let skewed = Clocks { file_time: Some(good().now - Duration::from_secs(60)), ..good() };
        expect(skewed, Verdict::Warning, "differs by 60 s");
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(file_time(dir.path()).is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(file_time(&dir.path().join("missing")).is_none());
    }
}
