//! Modules as records: what was registered, and which version of it a conversation was made with.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, is_default};

/// One version of a module, as a conversation remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRef {
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// Its version, as of semver.org.
    #[serde(rename = "v")]
    pub version: String,
    /// Which content of that version; 1 for the first.
    #[serde(rename = "r")]
    pub revision: u32,
    /// Where it came from: `registered`, `directory`, `built_in`.
    #[serde(rename = "o")]
    pub origin: String,
}

/// One revision of a registered module. but for its path, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// Its name.
    pub name: String,
    /// Its version, as of semver.org.
    pub version: String,
    /// Which content of that version; 1 for the first.
    pub revision: u32,
    /// Its place among all revisions of that name; 1 for the first.
    pub number: u64,
    /// The descriptor, canonical JSON.
    pub descriptor: String,
    /// SHA-256 of the descriptor, hexadecimal.
    pub digest: String,
    /// The module's path, as it was given; never opened by the store.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// When the name was first registered.
    #[serde(rename = "created")]
    pub create_time: Timestamp,
    /// When this revision was registered.
    #[serde(rename = "updated")]
    pub update_time: Timestamp,
    /// Whether this is the one that counts for its name.
    #[serde(skip_serializing_if = "is_default", default)]
    pub current: bool,
}
