//! The registry's promises, kept through its public side. Here: the builders that all of them use.

mod discovery;
mod extends;
mod found_set;
mod incremental;
mod origins;
mod relationships;

use std::sync::Arc;

use claude_comms_descriptors::registry::{Entry, Origin, Registry};
use claude_comms_descriptors::{Capability, DataType, Descriptor, Relationship, RelationshipKind, SCHEMA};

/// A module that says nothing but its name.
pub(crate) fn module(name: &str) -> Descriptor {
    Descriptor {
        schema: SCHEMA.to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        title: String::new(),
        description: String::new(),
        tags: Vec::new(),
        capabilities: Vec::new(),
        data_types: Vec::new(),
        relationships: Vec::new(),
        context: Default::default(),
        files: Default::default(),
        limits: Default::default(),
    }
}

pub(crate) fn described(name: &str, description: &str) -> Descriptor {
    Descriptor { description: description.to_owned(), ..module(name) }
}

pub(crate) fn related(name: &str, relationships: &[(&str, RelationshipKind)]) -> Descriptor {
    let relationships = relationships
        .iter()
        .map(|(other, kind)| Relationship {
            module: (*other).to_owned(),
            kind: *kind,
            description: format!("{name} to {other}"),
        })
        .collect();
    Descriptor { relationships, ..module(name) }
}

pub(crate) fn capability(name: &str, description: &str, tags: &[&str]) -> Capability {
    Capability {
        name: name.to_owned(),
        description: description.to_owned(),
        tags: strings(tags),
        read_only: false,
        input: None,
        output: None,
        examples: Vec::new(),
    }
}

pub(crate) fn data_type(name: &str, media_type: &str) -> DataType {
    DataType {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        description: String::new(),
        schema: None,
    }
}

/// An entry whose digest is made from its content.
pub(crate) fn entry(descriptor: Descriptor, origin: Origin) -> Entry {
    Entry {
        digest: format!("{descriptor:?}"),
        descriptor: Arc::new(descriptor),
        origin,
        revision: 1,
        path: String::new(),
        create_time_micros: 10,
        update_time_micros: 10,
        warnings: Vec::new(),
    }
}

pub(crate) fn registry(modules: impl IntoIterator<Item = Descriptor>) -> Registry {
    let mut registry = Registry::new();
    for module in modules {
        registry.put(entry(module, Origin::Registered));
    }
    registry
}

pub(crate) fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}
