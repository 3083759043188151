//! What reaches the simulated CLI from outside: lines on stdin, its end, an
//! interrupt signal. Owns the reader thread and the channel; knows nothing of
//! what the lines say.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

/// Lines read ahead of the session; more stay in the pipe, so that a writer feels it.
const READ_AHEAD_LINES: usize = 64;

/// One thing from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line of stdin without its newline; what is not UTF-8 is replaced.
    Line(String),
    /// Stdin is closed; no line follows.
    Eof,
    /// SIGINT.
    Interrupt,
}

/// How long to wait for an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    Not,
    Until(Instant),
    Forever,
}

/// The receiving end; one per process.
#[derive(Debug)]
pub(crate) struct Inbox {
    events: Receiver<Event>,
}

impl Inbox {
    /// An inbox and what feeds it.
    pub(crate) fn new() -> (SyncSender<Event>, Self) {
        let (sender, events) = sync_channel(READ_AHEAD_LINES);
        (sender, Self { events })
    }

    /// The next event, or nothing if none came within `wait`. Lost senders count as silence, never as [`Event::Eof`].
    pub(crate) fn next(&self, wait: Wait) -> Option<Event> {
        match wait {
            Wait::Not => self.events.try_recv().ok(),
            Wait::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.events.recv_timeout(left) {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => {
                        thread::sleep(deadline.saturating_duration_since(Instant::now()));
                        None
                    }
                }
            }
            Wait::Forever => match self.events.recv() {
                Ok(event) => Some(event),
                // Nothing can come any more: only a signal ends this wait, as for a real process that hangs.
                Err(_) => loop {
                    thread::park();
                },
            },
        }
    }
}

/// Reads `input` line by line into `events` until its end, on a thread of its own.
pub(crate) fn read_in_background(input: impl Read + Send + 'static, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => {
                    // A failed send means that the session is over.
                    let _ = events.send(Event::Eof);
                    return;
                }
                Ok(_) => {}
            }
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            let line = String::from_utf8(line)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
            if events.send(Event::Line(line)).is_err() {
                return;
            }
        }
    });
}
