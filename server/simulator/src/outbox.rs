//! Stdout: JSON lines with their keys in the CLI's order, gathered into few
//! writes or one write each. Knows how to write a line, never which.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Gathered bytes are written when there are so many.
const CHUNK_BYTES: usize = 64 * 1024;

/// How lines become writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WriteMode {
    /// Lines are gathered into writes of 64 KiB; the first delta of a turn and every pause write at once.
    #[default]
    Chunked,
    /// One write(2) for each line, as the real CLI does.
    PerLine,
}

/// The output of one process.
pub(crate) struct Outbox<W> {
    output: W,
    gathered: Vec<u8>,
    mode: WriteMode,
}

impl<W> std::fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("gathered_bytes", &self.gathered.len())
            .field("mode", &self.mode)
            .finish()
    }
}

impl<W: Write> Outbox<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output, gathered: Vec::with_capacity(8 * 1024), mode: WriteMode::default() }
    }

    /// How lines become writes from now on.
    pub(crate) fn set_mode(&mut self, mode: WriteMode) {
        self.mode = mode;
    }

    /// Writes one JSON object as a line.
    ///
    /// # Errors
    /// That of the write: nobody reads any more.
    pub(crate) fn object(&mut self, build: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        let mut object = Object { bytes: &mut self.gathered, empty: true };
        object.bytes.push(b'{');
        build(&mut object);
        self.gathered.extend_from_slice(b"}\n");
        self.line_written()
    }

    /// Writes `head`, the JSON string of `text`, then `tail` as a line: the short way for deltas.
    ///
    /// # Errors
    /// That of the write.
    pub(crate) fn spliced(&mut self, head: &[u8], text: &str, tail: &[&[u8]]) -> io::Result<()> {
        self.gathered.extend_from_slice(head);
        push_json(&mut self.gathered, text);
        for part in tail {
            self.gathered.extend_from_slice(part);
        }
        self.gathered.push(b'\n');
        self.line_written()
    }

    /// Writes `line` as it is, with a newline.
    ///
    /// # Errors
    /// That of the write.
    pub(crate) fn raw(&mut self, line: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(line);
        self.gathered.push(b'\n');
        self.line_written()
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// That of the write.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.output.write_all(&self.gathered)?;
            self.gathered.clear();
            self.output.flush()?;
        }
        Ok(())
    }

    fn line_written(&mut self) -> io::Result<()> {
        if self.mode == WriteMode::PerLine || self.gathered.len() >= CHUNK_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }
}

/// A JSON object being written, its keys in the order they are given.
pub(crate) struct Object<'a> {
    bytes: &'a mut Vec<u8>,
    empty: bool,
}

impl Object<'_> {
    /// Adds a field.
    pub(crate) fn field(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        if !self.empty {
            self.bytes.push(b',');
        }
        self.empty = false;
        push_json(self.bytes, key);
        self.bytes.push(b':');
        push_json(self.bytes, value);
        self
    }
}

/// Appends `value` as JSON.
pub(crate) fn push_json(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(bytes, value).expect("our lines are made of strings, numbers and JSON values");
}
