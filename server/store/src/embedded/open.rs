//! How a data directory becomes a running store: claim, look, create or repair, migrate, count, clean, start.

use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use claude_comms_model::{ConversationId, ServerId, Timestamp};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, backends::FileBackend};
use uuid::Uuid;

use super::{
    directory::{self, DataDirectory},
    observer::Observer,
    probe::{self, Found, probe},
    reading, schema,
    store::Opened,
    tables::WriterState,
    transcripts::Transcripts,
};
use crate::{OpenError, ServerIdentity};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for pages, bytes. The system caches the file too, so that little is enough.
    pub cache_bytes: usize,
    /// From which size of the file on each commit saves what reopening after a kill needs, bytes. Below it commits are
    /// faster (one sync instead of two) and reopening reads the whole file, about 2 s for each GB. 0 is always.
    pub quick_repair_from_bytes: u64,
    /// The clock of the records.
    pub clock: fn() -> Timestamp,
    /// Most operations of one commit; at least 1.
    pub max_batch: usize,
    /// Told of each commit.
    pub observer: Observer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            quick_repair_from_bytes: 256 * 1024 * 1024,
            clock: || SystemTime::now().into(),
            max_batch: 512,
            observer: Observer::default(),
        }
    }
}

/// An open store without its writer.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) opened: Opened,
    pub(crate) transcripts: Transcripts,
    pub(crate) state: WriterState,
    /// The database's file.
    pub(crate) file: PathBuf,
}

/// Looks at the store of a data directory without opening it: nothing is written. The version of its schema; `None` where
/// there is no store yet. Blocking: after a kill the whole file is read.
///
/// # Errors
/// [`OpenError`], as opening it would give.
pub fn inspect(data_dir: &Path) -> Result<Option<u32>, OpenError> {
    let unusable = |source| OpenError::Unusable { path: data_dir.to_owned(), source };
    match directory::check(data_dir) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unusable)?,
    }
    directory::refuse_shared(data_dir)?;
    if let Some(holder) = directory::held_by(data_dir).map_err(unusable)? {
        return Err(OpenError::InUse { path: data_dir.to_owned(), holder });
    }
    probe::look(&directory::store_of(data_dir), Options::default().cache_bytes)
}

/// Opens or makes the store of a data directory.
pub(crate) fn open(data_dir: &Path, options: &Options) -> Result<Parts, OpenError> {
    let directory = DataDirectory::claim(data_dir)?;
    let path = directory.store();
    let unusable = |source| OpenError::Unusable { path: path.clone(), source };
    let folder = directory.transcripts();
    match directory::check(&folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::Unusable { path: folder, source });
        }
        Err(_) => {}
        Ok(()) => directory::refuse_shared(&folder)?,
    }
    if probe(&path, options.cache_bytes)? == Found::Nothing {
        create(&directory).map_err(|error| probe::refused(&path, error))?;
    }
    let database = catch_unwind(AssertUnwindSafe(|| open_file(&path, options.cache_bytes)))
        .map_err(|_| unusable(io::Error::other("redb gave up on it")))?
        .map_err(|error| probe::refused(&path, error))?;
    let transcripts =
        Transcripts::open(folder.clone()).map_err(|source| OpenError::Unusable { path: folder, source })?;
    let state = prepare(&database, options, &transcripts).map_err(|error| probe::refused(&path, error))?;
    Ok(Parts { opened: Opened { database, _directory: directory }, transcripts, state, file: path })
}

/// Makes a new store under another name and gives it its own when it is whole.
fn create(directory: &DataDirectory) -> Result<(), redb::Error> {
    let (new, path) = (directory.new_store(), directory.store());
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let server = ServerId(Uuid::now_v7());
    set_transcripts_aside(directory, server)?;
    let file = directory::open_private(&new, OpenOptions::new().read(true).write(true).create_new(true))?;
    let database = Builder::new().create_with_backend(FileBackend::new(file)?)?;
    schema::found(&database, server)?;
    schema::migrate(&database, schema::MIGRATIONS)?;
    database.close()?;
    std::fs::rename(&new, &path)?;
    directory::sync_directory(directory.path())?;
    tracing::info!(schema.version = schema::VERSION, "store created");
    Ok(())
}

/// Transcripts without a store are of one that was moved away: they must be there when it comes back.
fn set_transcripts_aside(directory: &DataDirectory, server: ServerId) -> io::Result<()> {
    let transcripts = directory.transcripts();
    match std::fs::read_dir(&transcripts).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let aside = directory.path().join(format!("transcripts.before-{server}"));
            tracing::warn!("transcripts without a store were set aside");
            std::fs::rename(transcripts, aside)
        }
        _ => Ok(()),
    }
}

fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, redb::Error> {
    let file = directory::open_private(path, OpenOptions::new().read(true).write(true))?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(Builder::new().set_cache_size(cache_bytes).create_with_backend(FileBackend::new(file)?)?)
}

/// Brings an open database up to date and counts this opening.
pub(crate) fn prepare(
    database: &Database,
    options: &Options,
    transcripts: &Transcripts,
) -> Result<WriterState, redb::Error> {
    if schema::migrate(database, schema::MIGRATIONS)? {
        tracing::info!(schema.version = schema::VERSION, "store migrated");
    }
    let (id, incarnation) = schema::count_incarnation(database)?;
    let snapshot = database.begin_read()?;
    let next_place = reading::next_place(&snapshot)?;
    let mut known = std::collections::HashSet::new();
    for row in snapshot.open_table(schema::CONVERSATIONS)?.iter()? {
        known.insert(ConversationId(Uuid::from_u128(row?.0.value())));
    }
    match transcripts.remove_strays(&known) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "transcripts of deleted conversations removed"),
        Err(error) => tracing::warn!(%error, "transcripts of deleted conversations could not be removed"),
    }
    Ok(WriterState { server: ServerIdentity { id, incarnation }, clock: options.clock, next_place })
}
