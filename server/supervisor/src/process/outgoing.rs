//! Bytes on their way to a process's stdin.

use std::io;

use tokio::{io::AsyncWriteExt as _, process::ChildStdin};

/// A buffer grown beyond this by one large prompt is given back.
const KEPT_BYTES: usize = 1024 * 1024;

/// Stdin and what it has not taken yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    stdin: Option<ChildStdin>,
    bytes: Vec<u8>,
    written: usize,
    close_when_written: bool,
}

impl Outgoing {
    pub(super) fn new(stdin: ChildStdin) -> Self {
        Self { stdin: Some(stdin), bytes: Vec::new(), written: 0, close_when_written: false }
    }

    /// Puts complete lines behind what waits. Thrown away if stdin is closed or about to be.
    pub(super) fn put(&mut self, write_lines: impl FnOnce(&mut Vec<u8>)) {
        if self.is_open() {
            write_lines(&mut self.bytes);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.stdin.is_some() && !self.close_when_written
    }

    pub(super) fn has_work(&self) -> bool {
        self.stdin.is_some() && self.written < self.bytes.len()
    }

    /// Writes some of it. Cancel safe. Waits for ever if there is nothing to write.
    pub(super) async fn write(&mut self) -> io::Result<usize> {
        match &mut self.stdin {
            Some(stdin) if self.written < self.bytes.len() => stdin.write(&self.bytes[self.written..]).await,
            _ => std::future::pending().await,
        }
    }

    /// Takes note of what [`write`](Self::write) returned. An error means the process closed its stdin;
    /// its exit, which follows, says more.
    pub(super) fn wrote(&mut self, result: io::Result<usize>) {
        match result {
            Ok(count) if count > 0 => self.written += count,
            _ => return self.close_now(),
        }
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            if self.close_when_written {
                self.close_now();
            }
        }
    }

    /// EOF for the process once it has all; half a line would make the CLI fail.
    pub(super) fn close(&mut self) {
        self.close_when_written = true;
        if !self.has_work() {
            self.close_now();
        }
    }

    pub(super) fn close_now(&mut self) {
        self.stdin = None;
        self.bytes = Vec::new();
        self.written = 0;
    }
}
