//! Data types that both modules know: by the same name, or by the same media type.

use std::collections::BTreeMap;

use claude_comms_descriptors::descriptor::{DataType, Descriptor};
use minijinja::{Value, context};

use crate::schema;
use crate::tokens::estimate_tokens;
use crate::value::{json, line};

/// One kind of data that both know.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    /// The common name, or the common media type.
    pub(crate) label: &'a str,
    source: Vec<&'a DataType>,
    target: Vec<&'a DataType>,
}

/// How much of a shared type is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// With shortened schemas.
    Schema,
    /// Without.
    NoSchema,
    /// Not at all.
    Gone,
}

/// What both know: types of the same name in the source's order, then the rest by media type.
pub(crate) fn of<'a>(source: &'a Descriptor, target: &'a Descriptor) -> Vec<Shared<'a>> {
    let mut shared = Vec::new();
    let by_name: BTreeMap<_, _> =
        target.data_types.iter().map(|data_type| (&data_type.name, data_type)).collect();
    for ours in &source.data_types {
        if let Some(theirs) = by_name.get(&ours.name) {
            shared.push(Shared { label: &ours.name, source: vec![ours], target: vec![*theirs] });
        }
    }
    let named: Vec<&str> = shared.iter().map(|shared| shared.label).collect();
    let rest = |types: &'a [DataType]| {
        let mut by_media: BTreeMap<&str, Vec<&DataType>> = BTreeMap::new();
        let unnamed = |data_type: &&DataType| !named.contains(&data_type.name.as_str());
        for data_type in types.iter().filter(|data_type| !data_type.media_type.is_empty()).filter(unnamed) {
            by_media.entry(&data_type.media_type).or_default().push(data_type);
        }
        by_media
    };
    let mut theirs = rest(&target.data_types);
    for (label, source) in rest(&source.data_types) {
        if let Some(target) = theirs.remove(label) {
            shared.push(Shared { label, source, target });
        }
    }
    shared
}

impl Shared<'_> {
    pub(crate) fn has_schema(&self) -> bool {
        self.source.iter().chain(&self.target).any(|data_type| data_type.schema.is_some())
    }

    /// Tokens of its schemas, or of the rest, about.
    pub(crate) fn tokens(&self, schemas: bool) -> u32 {
        let one = |data_type: &&DataType| match &data_type.schema {
            Some(schema) if schemas => estimate_tokens(&schema::flat(schema).to_string()),
            _ if schemas => 0,
            _ => estimate_tokens(&data_type.name) + estimate_tokens(&data_type.description) + 2,
        };
        self.source.iter().chain(&self.target).map(one).sum()
    }

    /// The type as a template sees it; none when it is gone.
    pub(crate) fn at(&self, detail: Detail) -> Option<Value> {
        if detail == Detail::Gone {
            return None;
        }
        let one = |data_type: &&DataType| {
            let schema = data_type.schema.as_ref().filter(|_| detail == Detail::Schema);
            context! {
                name => line(&data_type.name),
                description => line(&data_type.description),
                schema => schema.map(|schema| json(&schema::flat(schema))),
            }
        };
        Some(context! {
            label => line(self.label),
            source => self.source.iter().map(one).collect::<Vec<_>>(),
            target => self.target.iter().map(one).collect::<Vec<_>>(),
        })
    }
}
