//! The modules that this server knows: registered ones (the store keeps them), those of watched directories, built-in
//! ones; the templates of directories; and what conversations' prompts are made of. It must not know gRPC.

mod register;
mod scenery;
mod template_files;
mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use claude_comms_context::templates::TemplateRecord;
use claude_comms_descriptors::{
    TemplateFiles,
    registry::{Entry, Origin, Registry},
};
use claude_comms_model::{ModuleRecord, ModuleRef, Timestamp};
use claude_comms_store::{ModuleRevisionInfo, Store, StoreError};
use tokio_util::task::TaskTracker;

use crate::config::Settings;

pub use self::register::RegisterError;
pub(crate) use self::{
    register::{Registering, did_you_mean},
    scenery::{Scenery, SceneryError},
};

/// A file that cannot be used as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, one line a problem.
    pub problems: String,
    /// Whether its last good version is still in use.
    pub kept: bool,
}

/// The handle; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Modules(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    store: Arc<dyn Store>,
    registry: RwLock<Registry>,
    /// Templates of directories, as they are now.
    templates: RwLock<Arc<Vec<TemplateRecord>>>,
    broken: RwLock<Vec<BrokenFile>>,
    sceneries: Mutex<scenery::Cache>,
    /// Registered modules that cannot be read; found at the start.
    unreadable: Vec<BrokenFile>,
    /// Held from the store's word to the registry's, so that both see registrations in one order.
    registering: tokio::sync::Mutex<()>,
    /// Registrations go on when their caller has gone: what the store took in, the registry must know.
    tracker: TaskTracker,
}

impl Modules {
    /// Reads what is registered, built in, and in the directories.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn load(
        settings: Settings,
        store: Arc<dyn Store>,
        tracker: TaskTracker,
    ) -> Result<Self, StoreError> {
        let now = Timestamp::from(SystemTime::now());
        let mut registry = Registry::default();
        for descriptor in claude_comms_descriptors::standard() {
            registry.put(Entry {
                digest: claude_comms_descriptors::digest(descriptor),
                descriptor: Arc::new(descriptor.clone()),
                origin: Origin::BuiltIn,
                revision: 1,
                path: String::new(),
                create_time_micros: now.0,
                update_time_micros: now.0,
                warnings: Vec::new(),
            });
        }
        let records = store.modules().await?;
        let reading = tokio::task::spawn_blocking(move || {
            records.iter().map(|record| (record.name.clone(), entry_of(record))).collect::<Vec<_>>()
        });
        let read =
            reading.await.map_err(|_| StoreError::Unavailable("the server is shutting down".to_owned()))?;
        let mut unreadable = Vec::new();
        for (name, entry) in read {
            match entry {
                Ok(entry) => {
                    registry.put(entry);
                }
                Err(error) => {
                    let problems = crate::backend::chain(&error);
                    tracing::error!(module = name, problems, "registered module cannot be read");
                    unreadable.push(BrokenFile { path: name.into(), problems, kept: false });
                }
            }
        }
        let shared = Shared {
            settings,
            store,
            registry: RwLock::new(registry),
            templates: RwLock::default(),
            broken: RwLock::default(),
            sceneries: Mutex::default(),
            unreadable,
            registering: tokio::sync::Mutex::new(()),
            tracker,
        };
        Ok(Self(Arc::new(shared)))
    }

    /// The registry as it is now. Not to be held across an await.
    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.0.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What cannot be used as it is now.
    pub(crate) fn broken(&self) -> Vec<BrokenFile> {
        let broken = self.0.broken.read().unwrap_or_else(PoisonError::into_inner);
        self.0.unreadable.iter().chain(broken.iter()).cloned().collect()
    }

    /// The newest revisions of a name that the store keeps, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn revisions(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Vec<ModuleRevisionInfo>, StoreError> {
        self.0.store.module_revisions(name.to_owned(), limit).await
    }

    /// A registered revision; without a number the newest content of that version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn revision(
        &self,
        name: &str,
        version: &str,
        revision: Option<u32>,
    ) -> Result<Option<Entry>, StoreError> {
        let record = self.0.store.module_revision(name.to_owned(), version.to_owned(), revision).await?;
        let Some(record) = record else { return Ok(None) };
        let reading = tokio::task::spawn_blocking(move || entry_of(&record));
        let read =
            reading.await.map_err(|_| StoreError::Unavailable("the server is shutting down".to_owned()))?;
        read.map(Some)
    }

    /// Changes the registry; every scenery made before is made anew when it is next asked for.
    fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.0.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_templates(&self) -> Arc<Vec<TemplateRecord>> {
        Arc::clone(&self.0.templates.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sceneries(&self) -> MutexGuard<'_, scenery::Cache> {
        self.0.sceneries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered revision as the registry has it, with what its author should look at.
///
/// # Errors
/// [`StoreError::Corrupt`] when its descriptor is none.
pub(crate) fn entry_of(record: &ModuleRecord) -> Result<Entry, StoreError> {
    let descriptor = serde_json::from_str(&record.descriptor).map_err(|error| {
        StoreError::Corrupt(format!("the descriptor of module {} cannot be read: {error}", record.name))
    })?;
    // Not stored: a later version of the server may know better.
    let warnings = match claude_comms_descriptors::parse(&record.descriptor, TemplateFiles::Refused) {
        Ok(parsed) => parsed.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    Ok(Entry {
        descriptor: Arc::new(descriptor),
        origin: Origin::Registered,
        revision: record.revision,
        digest: record.digest.clone(),
        path: record.path.clone(),
        create_time_micros: record.create_time.0,
        update_time_micros: record.update_time.0,
        warnings,
    })
}

/// A module as a conversation remembers it.
pub(crate) fn reference(entry: &Entry) -> ModuleRef {
    ModuleRef {
        name: entry.descriptor.name.clone(),
        version: entry.descriptor.version.clone(),
        revision: entry.revision,
        origin: entry.origin.as_str().to_owned(),
    }
}
