//! The data directory: whose it is, what may be in it, and the lock that makes it ours. Knows nothing of redb.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags},
    io::Errno,
};

use crate::OpenError;

const LOCK: &str = "lock";
const STORE: &str = "store.redb";
const NEW_STORE: &str = "store.redb.new";
const TRANSCRIPTS: &str = "transcripts";

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// Closing it gives the lock back. The file stays: removing it would let two servers lock two files.
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if need be, checks it and locks it.
    pub(crate) fn claim(path: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        make(path).map_err(unusable)?;
        check(path).map_err(unusable)?;
        refuse_shared(path)?;
        let lock = path.join(LOCK);
        let file = lock_file(&lock).map_err(|source| OpenError::Unusable { path: lock.clone(), source })?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse { path: path.to_owned(), holder: holder(&file) });
            }
            Err(errno) => return Err(OpenError::Unusable { path: lock, source: errno.into() }),
        }
        name_holder(&file).map_err(|source| OpenError::Unusable { path: lock, source })?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The store's file.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Where a store is made before it gets its name: what has the name is always whole.
    pub(crate) fn new_store(&self) -> PathBuf {
        self.path.join(NEW_STORE)
    }

    /// The folder of the transcripts.
    pub(crate) fn transcripts(&self) -> PathBuf {
        self.path.join(TRANSCRIPTS)
    }
}

/// Opens a file of the store, never through a symbolic link; a new one is the owner's alone.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[expect(clippy::cast_possible_wrap, reason = "the flag is a small positive number, std wants it signed")]
    let file = options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Makes what was renamed or made in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder that only its owner can enter, with its parents.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path)
        }
        Err(error) => Err(error),
    }
}

/// Refuses what is not a folder of our own.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let refused = |kind, why: &str| Err(io::Error::new(kind, why));
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return refused(io::ErrorKind::InvalidInput, "it is a symbolic link");
    }
    if !metadata.is_dir() {
        return refused(io::ErrorKind::NotADirectory, "it is not a directory");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refused(io::ErrorKind::PermissionDenied, "it belongs to another user");
    }
    if metadata.permissions().mode() & 0o300 != 0o300 {
        return refused(io::ErrorKind::PermissionDenied, "its owner may not write to it");
    }
    Ok(())
}

/// Refuses a folder in which others could replace files. That they may look at it does no harm: the files are 0600.
pub(crate) fn refuse_shared(path: &Path) -> Result<(), OpenError> {
    let metadata = std::fs::symlink_metadata(path)
        .map_err(|source| OpenError::Unusable { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(OpenError::Shared { path: path.to_owned(), mode });
    }
    Ok(())
}

fn lock_file(path: &Path) -> io::Result<File> {
    open_private(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// Whether another holds the lock of a directory: its process id as far as it is known. Changes nothing.
pub(crate) fn held_by(path: &Path) -> io::Result<Option<String>> {
    let file = match open_private(&path.join(LOCK), OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Given back when the file is closed. Shared: two who look do not see each other.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(Some(holder(&file))),
        Err(errno) => Err(errno.into()),
    }
}

/// The store's file in a directory.
pub(crate) fn store_of(path: &Path) -> PathBuf {
    path.join(STORE)
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    let pid = text.trim();
    let known = read.is_ok() && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    if known { pid.to_owned() } else { "unknown".to_owned() }
}

fn name_holder(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}
