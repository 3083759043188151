//! What is said to and by a store about registered modules. Knows nothing of what a descriptor says.

use claude_comms_model::{ModuleRecord, Timestamp};

/// A module to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterModule {
    /// Its name.
    pub name: String,
    /// Its version, as of semver.org.
    pub version: String,
    /// The descriptor, canonical JSON.
    pub descriptor: String,
    /// SHA-256 of it, hexadecimal.
    pub digest: String,
    /// The module's path, as it was given.
    pub path: String,
    /// Whether a version lower than the current one may take its place.
    pub force: bool,
    /// Only if the module is registered.
    pub must_exist: bool,
    /// The digest that the current revision must have.
    pub expected_digest: Option<String>,
}

/// What became of [`Store::register_module`](crate::Store::register_module).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// It is the current one: a new revision, or one that the name had before under that version, with the same content.
    Stored(Box<ModuleRecord>),
    /// The current revision has that version, content and path already (another path alone is written, without a new
    /// revision).
    Unchanged(Box<ModuleRecord>),
    /// The current one has a higher version; nothing was written.
    Lower(Box<ModuleRecord>),
    /// The current one has another digest than expected; nothing was written.
    Changed(Box<ModuleRecord>),
    /// No module of that name is registered, though one must be or a digest was expected; nothing was written.
    Absent,
}

/// A revision of a module without what is large about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRevisionInfo {
    /// Its version, as of semver.org.
    pub version: String,
    /// Which content of that version; 1 for the first.
    pub revision: u32,
    /// Its place among all revisions of that name; 1 for the first.
    pub number: u64,
    /// SHA-256 of the descriptor, hexadecimal.
    pub digest: String,
    /// When this revision was registered.
    pub update_time: Timestamp,
    /// Whether this is the one that counts for its name.
    pub current: bool,
}

/// Most revisions that one call of [`Store::module_revisions`](crate::Store::module_revisions) gives.
pub const MODULE_REVISIONS: usize = 1000;
