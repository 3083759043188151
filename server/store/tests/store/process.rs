//! This test binary run a second time, to be another process that can be killed.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

const ROLE: &str = "CLAUDE_COMMS_STORE_TEST_DIRECTORY";
const MARK: &str = "told: ";

/// The directory this process is to work in, if it is the other process.
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// Tells the first process a line, at once.
pub(crate) fn tell(line: &str) {
    // The test runner may have left its own line unfinished, hence the line break before it.
    writeln!(std::io::stdout().lock(), "\n{MARK}{line}").unwrap();
}

/// The other process, killed at the latest when this goes.
#[derive(Debug)]
pub(crate) struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Other {
    /// Runs one test of this binary in another process, where [`directory`] is set.
    pub(crate) fn running(test: &str, directory: &Path) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test is about another process, and reaps it")]
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, OsString::from(directory));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line it told; `None` when it has ended. A line that its end cut off was not told.
    pub(crate) fn told(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let whole = line.strip_suffix('\n')?;
            if let Some(told) = whole.strip_prefix(MARK) {
                return Some(told.to_owned());
            }
        }
    }

    /// SIGKILL; returns when nothing of it is left but what it had told.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail only if it has been reaped, which is what they are for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
