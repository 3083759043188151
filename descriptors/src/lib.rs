//! What a module is: its descriptor, how it is read and checked, where it is loaded from, how modules are registered and
//! found. Knows no server, no store and no network; reads files only where it is told to.

pub mod descriptor;
pub mod registry;
pub mod template;

pub use descriptor::{
    Capability, ContextSpec, DataType, Descriptor, Example, Files, Limits, Relationship, RelationshipKind,
    SCHEMA, TemplateText,
};
