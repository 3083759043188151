//! A process's stderr as it is written, for whoever wants to see it. There is no queue per reader: each holds a place and
//! takes what is there when it is polled; one that is late learns how much it missed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::stderr::StderrRing;

/// Longest piece, bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// A line that is not ended is told once it is so long, bytes.
const LONG_LINE_BYTES: usize = 4 * 1024;

/// A piece of what a process wrote to stderr: whole lines, where they are not very long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StderrPiece {
    /// Its place in all that the process wrote, bytes.
    pub offset: u64,
    /// The text; what is no UTF-8 is replaced.
    pub text: String,
    /// Bytes before it that are forgotten and were not read.
    pub skipped_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    ring: StderrRing,
    end: u64,
    closed: bool,
    /// One place a reader; those of readers that are gone are used again.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// The stderr of one process; cheap to clone, outlives it.
#[derive(Debug, Clone)]
pub struct StderrFeed(Arc<Mutex<Shared>>);

impl StderrFeed {
    /// An empty one that keeps this many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            ring: StderrRing::new(limit),
            end: 0,
            closed: false,
            wakers: Vec::new(),
            free: Vec::new(),
        })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn extend(&self, new: &[u8]) {
        let mut shared = self.shared();
        shared.ring.extend(new);
        shared.end += new.len() as u64;
        wake(shared);
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        let mut shared = self.shared();
        shared.closed = true;
        wake(shared);
    }

    pub(crate) fn tail(&self) -> String {
        self.shared().ring.tail()
    }

    /// Reads all that is kept, then what comes.
    pub fn read(&self) -> StderrReader {
        StderrReader { feed: self.clone(), position: 0, place: None }
    }

    /// Reads what comes from now on.
    pub fn read_new(&self) -> StderrReader {
        let position = self.shared().end;
        StderrReader { feed: self.clone(), position, place: None }
    }
}

fn wake(mut shared: MutexGuard<'_, Shared>) {
    let wakers: Vec<Waker> = shared.wakers.iter_mut().filter_map(Option::take).collect();
    drop(shared);
    wakers.into_iter().for_each(Waker::wake);
}

/// One reader's place in a process's stderr.
#[derive(Debug)]
pub struct StderrReader {
    feed: StderrFeed,
    position: u64,
    /// Its place among the wakers.
    place: Option<usize>,
}

impl StderrReader {
    /// The next piece; `None` after the last one of a process that is gone.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<StderrPiece>> {
        let feed = self.feed.clone();
        let mut shared = feed.shared();
        if let Some(piece) = self.take(&shared) {
            return Poll::Ready(Some(piece));
        }
        if shared.closed {
            return Poll::Ready(None);
        }
        let place = self.place.or_else(|| shared.free.pop()).unwrap_or_else(|| {
            shared.wakers.push(None);
            shared.wakers.len() - 1
        });
        shared.wakers[place] = Some(context.waker().clone());
        self.place = Some(place);
        Poll::Pending
    }

    fn take(&mut self, shared: &Shared) -> Option<StderrPiece> {
        let bytes = shared.ring.bytes();
        let start = shared.end - bytes.len() as u64;
        let offset = self.position.max(start);
        let from = usize::try_from(offset - start).unwrap_or(usize::MAX).min(bytes.len());
        let length = whole(bytes, from, shared.closed);
        if length == 0 {
            return None;
        }
        let piece: Vec<u8> = bytes.range(from..from + length).copied().collect();
        let skipped_bytes = offset - self.position;
        self.position = offset + length as u64;
        Some(StderrPiece { offset, text: String::from_utf8_lossy(&piece).into_owned(), skipped_bytes })
    }
}

/// How many bytes from a place make a piece; 0 while its line goes on.
fn whole(bytes: &VecDeque<u8>, from: usize, closed: bool) -> usize {
    let length = (bytes.len() - from).min(PIECE_BYTES);
    if let Some(line_end) = bytes.range(from..from + length).rposition(|byte| *byte == b'\n') {
        return line_end + 1;
    }
    if closed && from + length == bytes.len() {
        return length;
    }
    if length < LONG_LINE_BYTES {
        return 0;
    }
    // Not within a character, where it is text.
    let continues = |at: usize| bytes.get(from + at).is_some_and(|byte| *byte & 0xC0 == 0x80);
    let partial = (0..4).take_while(|back| continues(length - back - 1)).count();
    length - (partial + 1).min(4)
}

impl Drop for StderrReader {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut shared = self.feed.shared();
            shared.wakers[place] = None;
            shared.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn next(reader: &mut StderrReader) -> Poll<Option<StderrPiece>> {
        reader.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn piece(reader: &mut StderrReader) -> (u64, String, u64) {
        match next(reader) {
            Poll::Ready(Some(piece)) => (piece.offset, piece.text, piece.skipped_bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_told_whole_and_the_rest_at_the_end() {
        let feed = StderrFeed::new(64);
        let mut reader = feed.read();
        feed.extend(b"one\ntwo\nthr");
        assert_eq!(piece(&mut reader), (0, "one\ntwo\n".into(), 0));
        assert_eq!(next(&mut reader), Poll::Pending);
        let mut late = feed.read_new();
        feed.extend("ee ä".as_bytes());
        feed.close();
        assert_eq!(piece(&mut reader), (8, "three ä".into(), 0));
        assert_eq!(next(&mut reader), Poll::Ready(None));
        assert_eq!(piece(&mut late), (11, "ee ä".into(), 0));
    }

    #[test]
    fn who_is_late_learns_how_much_is_gone() {
        let feed = StderrFeed::new(10);
        let mut reader = feed.read();
        for line in 0..100 {
            feed.extend(format!("line{line:04}\n").as_bytes());
        }
        assert_eq!(piece(&mut reader), (890, "\nline0099\n".into(), 890));
        assert_eq!(next(&mut reader), Poll::Pending);
    }

    #[test]
    fn a_line_without_an_end_is_told_in_pieces_that_are_whole_characters() {
        let feed = StderrFeed::new(64 * 1024);
        let mut reader = feed.read();
        let line = "ä€x".repeat(3000);
        feed.extend(line.as_bytes());
        let mut read = String::new();
        while let Poll::Ready(Some(piece)) = next(&mut reader) {
            assert_eq!((piece.offset, piece.skipped_bytes), (read.len() as u64, 0));
            read.push_str(&piece.text);
        }
        assert!(read.len() + LONG_LINE_BYTES > line.len());
        feed.close();
        while let Poll::Ready(Some(piece)) = next(&mut reader) {
            read.push_str(&piece.text);
        }
        assert_eq!(read, line);
    }
}
