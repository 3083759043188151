//! The memory of a process's stderr: always drained, bounded, the newest wins.

use std::collections::VecDeque;

/// Longest tail handed out in an error or an [`ExitInfo`](crate::ExitInfo).
const TAIL_BYTES: usize = 8 * 1024;

/// The last bytes a process wrote to stderr.
#[derive(Debug)]
pub(crate) struct StderrRing {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl StderrRing {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit }
    }

    pub(crate) fn extend(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(self.limit)..];
        let excess = (self.bytes.len() + new.len()).saturating_sub(self.limit);
        self.bytes.drain(..excess);
        self.bytes.extend(new);
    }

    /// The newest bytes, oldest first.
    pub(crate) fn bytes(&self) -> &VecDeque<u8> {
        &self.bytes
    }

    /// The newest text, at most 8 KiB of it, beginning at a character's start.
    pub(crate) fn tail(&self) -> String {
        let skip = self.bytes.len().saturating_sub(TAIL_BYTES);
        let mut bytes: Vec<u8> = self.bytes.iter().skip(skip).copied().collect();
        if skip > 0 {
            let partial = bytes.iter().take_while(|byte| **byte & 0xC0 == 0x80).count();
            bytes.drain(..partial);
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        // Lossy decoding turns one bad byte into three.
        let excess = text.len().saturating_sub(TAIL_BYTES);
        let start = (excess..=text.len()).find(|at| text.is_char_boundary(*at));
        text.drain(..start.unwrap_or(0));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_bytes_within_its_limit() {
        let mut ring = StderrRing::new(10);
        ring.extend(b"0123456789");
        ring.extend(b"abc");
        assert_eq!(ring.tail(), "3456789abc");
        ring.extend(b"a line much longer than the ring");
        assert_eq!(ring.tail(), "n the ring");
        assert!(ring.bytes.len() <= 10);
    }

    #[test]
    fn the_tail_is_bounded_and_starts_at_a_character() {
        let mut ring = StderrRing::new(64 * 1024);
        ring.extend("ä".repeat(5000).as_bytes());
        ring.extend(b"x");
        let tail = ring.tail();
        assert!(tail.len() <= TAIL_BYTES);
        assert!(tail.starts_with('ä') && tail.ends_with('x'), "{}", &tail[..8]);
    }

    #[test]
    fn bytes_that_are_not_text_stay_within_the_tail() {
        let mut ring = StderrRing::new(64 * 1024);
        ring.extend(&[0xFF; 20_000]);
        assert!(ring.tail().len() <= TAIL_BYTES);
    }
}
