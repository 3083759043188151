//! The registry: which module of a name counts, how modules stand to each other, how they are found. In memory; the
//! store keeps what was registered.
//!
//! Nothing here locks, reads a clock or a file: whoever owns a [`Registry`] decides who may change it when.

mod discovery;
mod entry;
mod inherit;
mod modules;
mod near;
mod relationships;

pub use discovery::{Discovered, Match, Query};
pub use entry::{Changes, Entry, Origin};
pub use inherit::{EXTENDS_DEPTH, ExtendsError};
pub use modules::Registry;
pub use relationships::{DeclaredBy, Descriptions, RelationKind, Resolved};
