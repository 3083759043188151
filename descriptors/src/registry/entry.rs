//! What a registry holds: a descriptor and where it came from. Must not know how entries are found.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Descriptor;

/// Where a module came from. The order is the precedence: of two modules of one name, the lesser origin counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A client registered it.
    Registered,
    /// It lies in a module directory.
    Directory,
    /// It ships with claude-comms.
    BuiltIn,
}

impl Origin {
    /// Every origin, by precedence.
    pub const ALL: [Self; 3] = [Self::Registered, Self::Directory, Self::BuiltIn];

    /// The name in texts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Directory => "directory",
            Self::BuiltIn => "built_in",
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A module of one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it says of itself; its name is the entry's.
    pub descriptor: Arc<Descriptor>,
    /// Where it came from.
    pub origin: Origin,
    /// How often its content changed within its origin; the first is 1.
    pub revision: u32,
    /// The digest of its content.
    pub digest: String,
    /// The module's root, or its descriptor's file, as it was given; may be empty.
    pub path: String,
    /// When a module of this name first came from this origin, in microseconds since 1970.
    pub create_time_micros: i64,
    /// When its content last changed, in microseconds since 1970.
    pub update_time_micros: i64,
    /// What was found fault with when it was read, and yet let pass.
    pub warnings: Vec<String>,
}

impl Entry {
    /// The module's name.
    pub fn name(&self) -> &str {
        &self.descriptor.name
    }

    /// Whether both hold the same content. Descriptors are compared beside the digests: a digest is the caller's word,
    /// and what is indexed would go stale on a wrong one.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        self.digest == other.digest && same_descriptor(&self.descriptor, &other.descriptor)
    }
}

pub(super) fn same_descriptor(one: &Arc<Descriptor>, other: &Arc<Descriptor>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// What replacing all modules of an origin changed: names, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Modules that the origin did not have before.
    pub added: Vec<String>,
    /// Modules with other content than before.
    pub changed: Vec<String>,
    /// Modules that the origin has no longer.
    pub removed: Vec<String>,
    /// How many stayed as they were.
    pub kept: usize,
}

impl Changes {
    /// Whether everything stayed as it was.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}
