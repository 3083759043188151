//! What a module is: its descriptor, how it is read and checked, where it is loaded from, how modules are registered and
//! found. Knows no server, no store and no network; reads files only where it is told to.

pub mod check;
pub mod data_schema;
pub mod descriptor;
mod format;
pub mod load;
mod node;
mod problem;
mod reading;
pub mod registry;
mod schema_words;
mod stack;
mod standard;
pub mod template;
mod words;
mod write;

pub use check::{Parsed, TemplateFiles, limits, parse, parse_bytes};
pub use data_schema::{DataSchema, Finding};
pub use descriptor::{
    Capability, ContextSpec, DataType, Descriptor, Example, Files, Limits, Relationship, RelationshipKind,
    SCHEMA, TemplateText,
};
pub use format::{SCHEMA_ID, json_schema, json_schema_text};
pub use problem::Problem;
pub use schema_words::{NoKeyword, no_keywords};
pub use standard::{standard, standard_text};
pub use words::is_name;
pub use write::{canonical_json, digest, to_json, to_yaml};
