//! A file that redb may write to without changing it: writes stay in memory and are forgotten. Knows only bytes.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// A view on a file, with changes on top.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    /// The length the view has.
    length: u64,
    /// How much of the file is still behind it.
    of_file: u64,
    /// Blocks that differ from the file, by number.
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Overlay {
    /// The file as it is.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let changes = Changes { length, of_file: length, blocks: BTreeMap::new() };
        Ok(Self { file, changes: Mutex::new(changes) })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's part of a range; zeros behind its end.
    fn read_file(&self, of_file: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(of_file.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (behind_file, zeros) = out.split_at_mut(there);
        zeros.fill(0);
        self.file.read_exact_at(behind_file, offset)
    }
}

/// The blocks a range touches: number, offset in the block, range of the buffer.
fn blocks(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < length).then(|| {
            let at = offset + done as u64;
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(0);
            let count = (BLOCK - within).min(length - done);
            let range = done..done + count;
            done += count;
            (at / BLOCK as u64, within, range)
        })
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let changes = self.changes();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > changes.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(changes.of_file, offset, out)?;
        for (number, within, range) in blocks(offset, out.len()) {
            if let Some(block) = changes.blocks.get(&number) {
                let count = range.len();
                out[range].copy_from_slice(&block[within..within + count]);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut changes = self.changes();
        if length < changes.length {
            changes.of_file = changes.of_file.min(length);
            changes.blocks.split_off(&length.div_ceil(BLOCK as u64));
            let tail = usize::try_from(length % BLOCK as u64).unwrap_or(0);
            if let Some(block) = changes.blocks.get_mut(&(length / BLOCK as u64)) {
                block[tail..].fill(0);
            }
        }
        changes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut changes = self.changes();
        for (number, within, range) in blocks(offset, data.len()) {
            if !changes.blocks.contains_key(&number) {
                let mut block = Box::new([0; BLOCK]);
                self.read_file(changes.of_file, number * BLOCK as u64, block.as_mut_slice())?;
                changes.blocks.insert(number, block);
            }
            if let Some(block) = changes.blocks.get_mut(&number) {
                let count = range.len();
                block[within..within + count].copy_from_slice(&data[range]);
            }
        }
        changes.length = changes.length.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn changes_are_seen_and_never_reach_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let overlay = Overlay::new(file.try_clone().unwrap()).unwrap();
        overlay.write(4000, &[1; 200]).unwrap();
        overlay.set_len(9000).unwrap();
        overlay.set_len(12_000).unwrap();
        overlay.write(11_999, &[9]).unwrap();
        let mut seen = vec![0; 12_000];
        overlay.read(0, &mut seen).unwrap();
        let mut expected = vec![7; 9000];
        expected[4000..4200].fill(1);
        expected.resize(11_999, 0);
        expected.push(9);
        assert_eq!(seen, expected);
        assert!(overlay.read(11_990, &mut [0; 11]).is_err());
        let mut bytes = vec![0; 10_000];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [7; 10_000]);
        assert_eq!(file.metadata().unwrap().len(), 10_000);
    }
}
