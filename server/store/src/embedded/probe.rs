//! Looks at a store's file before anything may write to it: what is refused stays as it is, byte for byte.
//!
//! redb repairs while it opens and trusts what it finds, so the look happens on an [`Overlay`]: a file left by a
//! killed server is repaired in memory, a damaged one may fail or panic there.

use std::{
    fs::{File, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Builder, ReadableDatabase};

use super::{directory, overlay::Overlay, schema};
use crate::OpenError;

const REDB_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// What is under the store's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing: a store is to be made.
    Nothing,
    /// A store of this version or an older one.
    Store,
}

/// Looks.
///
/// # Errors
/// [`OpenError::Corrupt`], [`OpenError::Newer`], or [`OpenError::Unusable`] where the system refuses to read it.
pub(crate) fn probe(path: &Path, cache_bytes: usize) -> Result<Found, OpenError> {
    Ok(look(path, cache_bytes)?.map_or(Found::Nothing, |_| Found::Store))
}

/// The version of the schema; `None` where there is nothing.
///
/// # Errors
/// As [`probe`].
pub(crate) fn look(path: &Path, cache_bytes: usize) -> Result<Option<u32>, OpenError> {
    let file = match directory::open_private(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Unusable { path: path.to_owned(), source }),
    };
    check_magic(&file).map_err(|why| corrupt(path, why))?;
    let version = catch_unwind(AssertUnwindSafe(|| version(file, cache_bytes)))
        .map_err(|_| corrupt(path, "its pages contradict each other"))?
        .map_err(|error| refused(path, error))?;
    match version {
        None => Err(corrupt(path, "it belongs to another program")),
        Some(found) if found > schema::VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: schema::VERSION })
        }
        Some(found) => Ok(Some(found)),
    }
}

fn check_magic(file: &File) -> Result<(), String> {
    use std::os::unix::fs::FileExt;

    let mut magic = [0; REDB_MAGIC.len()];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == REDB_MAGIC => Ok(()),
        Ok(()) => Err("it is not a redb file".to_owned()),
        Err(_) if file.metadata().is_ok_and(|metadata| metadata.len() == 0) => Err("it is empty".to_owned()),
        Err(error) => Err(format!("its beginning cannot be read: {error}")),
    }
}

fn version(file: File, cache_bytes: usize) -> Result<Option<u32>, redb::Error> {
    let database = Builder::new().set_cache_size(cache_bytes).create_with_backend(Overlay::new(file)?)?;
    let snapshot = database.begin_read()?;
    let version = schema::version(&snapshot)?;
    if version == Some(schema::VERSION) {
        schema::check_tables(&snapshot)?;
    }
    Ok(version)
}

fn corrupt(path: &Path, why: impl Into<String>) -> OpenError {
    OpenError::Corrupt { path: path.to_owned(), why: why.into() }
}

/// What redb's error means for the opening.
pub(crate) fn refused(path: &Path, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Io(source)
            if !matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            OpenError::Unusable { path: path.to_owned(), source }
        }
        redb::Error::DatabaseAlreadyOpen => {
            OpenError::InUse { path: path.to_owned(), holder: "unknown".to_owned() }
        }
        other => corrupt(path, other.to_string()),
    }
}
