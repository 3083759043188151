//! Bytes to lines. It owns the read buffer of one pipe and knows nothing of JSON.

use memchr::memchr;

#[cfg(test)]
mod tests;

/// Longest line taken from the CLI (64 MiB): an `assistant` line with a large tool input is one line.
pub const LINE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Least room [`LineSplitter::space`] offers; also the size the buffer returns to when it is empty.
const SPACE_BYTES: usize = 16 * 1024;
/// A buffer above this size is given back as soon as it is empty again.
const KEPT_BYTES: usize = 1024 * 1024;

/// A line was longer than the limit. The rest of it is skipped, later lines are read as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line is longer than the limit of {limit_bytes} bytes")]
pub struct LineTooLong {
    /// The limit that was passed, without the line end.
    pub limit_bytes: usize,
}

/// Cuts a byte stream at `\n`. It neither splits nor merges lines, however the bytes are cut into reads, and looks
/// at every byte once.
///
/// ```
/// use claude_comms_stream_json::framing::LineSplitter;
/// let mut splitter = LineSplitter::default();
/// splitter.extend(b"{\"type\":\"a\"}\n{\"ty");
/// assert_eq!(splitter.next_line(), Some(Ok(&b"{\"type\":\"a\"}"[..])));
/// assert_eq!(splitter.next_line(), None);
/// ```
#[derive(Debug)]
pub struct LineSplitter {
    /// `buffer[start..end]` is pending; bytes from `end` on are room for the next read.
    buffer: Vec<u8>,
    start: usize,
    /// `buffer[start..scanned]` holds no line end.
    scanned: usize,
    end: usize,
    limit_bytes: usize,
    /// Set after `LineTooLong`, until the line's end is found.
    skipping: bool,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::new(LINE_LIMIT_BYTES)
    }
}

impl LineSplitter {
    /// A splitter that takes lines up to `limit_bytes`, not counting the line end.
    pub fn new(limit_bytes: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, end: 0, limit_bytes, skipping: false }
    }

    /// Room to read into, at least 16 KiB. Call [`advance`](Self::advance) with the count of bytes written.
    pub fn space(&mut self) -> &mut [u8] {
        self.reserve(SPACE_BYTES);
        &mut self.buffer[self.end..]
    }

    /// Takes the first `count` bytes of the last [`space`](Self::space) as read.
    ///
    /// # Panics
    /// If `count` is more than that room.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.end, "more bytes than the space had room for");
        self.end += count;
    }

    /// Appends bytes read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// The next complete line without its `\n`, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`LineTooLong`] once for each line over the limit, as soon as it is known.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        loop {
            let found = memchr(b'\n', &self.buffer[self.scanned..self.end]).map(|at| self.scanned + at);
            let line_end = found.unwrap_or(self.end);
            self.scanned = found.map_or(self.end, |at| at + 1);
            if self.skipping {
                self.start = self.scanned;
                found?;
                self.skipping = false;
                continue;
            }
            let too_long = line_end - self.start > self.limit_bytes;
            if too_long || found.is_some() {
                let line = self.start..line_end;
                self.start = self.scanned;
                self.skipping = found.is_none();
                let error = LineTooLong { limit_bytes: self.limit_bytes };
                return Some(if too_long { Err(error) } else { Ok(&self.buffer[line]) });
            }
            return None;
        }
    }

    /// The bytes after the last line end. At the end of the stream these are a line that was cut off.
    pub fn remainder(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn reserve(&mut self, room: usize) {
        if self.start == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
            if self.buffer.len() > KEPT_BYTES {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end >= room {
            return;
        }
        let pending = self.end - self.start;
        // Moving at most as many bytes as were consumed keeps the cost of a byte constant.
        if self.start >= pending && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.end = pending;
            self.start = 0;
        }
        if self.buffer.len() - self.end < room {
            let grown = (self.buffer.len() * 2).max(self.end + room);
            self.buffer.resize(grown, 0);
        }
    }
}

/// Whether a stdout line can be a message at all. Anything else (a warning of a library, a blank line) is skipped by
/// drivers: the CLI prints one JSON object per line.
pub fn is_message(line: &[u8]) -> bool {
    line.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
