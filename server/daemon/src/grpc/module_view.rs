//! Modules as messages.

use claude_comms_descriptors::{
    Descriptor,
    registry::{DeclaredBy, Entry, Origin, Registry, RelationKind, Resolved},
};
use claude_comms_model::{Conversation, ModuleRef, Timestamp};
use claude_comms_proto::v1;
use claude_comms_store::ModuleRevisionInfo;
use serde_json::Value;

use super::{
    convert::{cut, timestamp},
    status::ApiError,
};

/// How much of a module is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Whole,
    /// Without schemas, relationships and the descriptor; texts are cut.
    InList,
}

const WARNINGS: usize = 100;
/// Most bytes of a page; every message stays below 3.5 MiB.
const PAGE_BYTES: usize = 3 << 20;
/// Most relationships shown, and the longest text of each side, bytes: a module may be related to thousands.
const RELATIONSHIPS: usize = 500;
const RELATIONSHIP_BYTES: usize = 1 << 10;
/// Longest indented descriptor, bytes.
const INDENTED_BYTES: usize = 1 << 20;
/// Longest text of a module in a list, bytes.
const LIST_TEXT_BYTES: usize = 4 << 10;
/// Longest text of a capability or data type in a list, and most of either: a page of 200 modules must fit one message.
const LIST_PART_BYTES: usize = 120;
const LIST_PARTS: usize = 16;

pub(super) fn module(registry: &Registry, entry: &Entry, detail: Detail) -> v1::Module {
    let descriptor = &entry.descriptor;
    let whole = detail == Detail::Whole;
    let mut truncated_fields = Vec::new();
    let (mut capabilities, mut data_types) = (&descriptor.capabilities[..], &descriptor.data_types[..]);
    if !whole {
        let cut_fields = &mut truncated_fields;
        capabilities = first(capabilities, "capabilities", |capability| &capability.description, cut_fields);
        data_types = first(data_types, "data_types", |data_type| &data_type.description, cut_fields);
    }
    let (description, was_cut) =
        cut(&descriptor.description, if whole { usize::MAX } else { LIST_TEXT_BYTES });
    if was_cut {
        truncated_fields.push("description".to_owned());
    }
    let relationships =
        if whole { relationships(registry, descriptor, &mut truncated_fields) } else { Vec::new() };
    let mut warnings = entry.warnings.clone();
    if whole {
        warnings.extend(registry.relationship_warnings(&descriptor.name));
        if let Err(error) = registry.resolve_context_of(descriptor) {
            warnings.push(format!(
                "context.extends: {error}; until then no question to this module can be asked"
            ));
        }
        warnings.extend(covered(registry, entry));
    }
    warnings.truncate(WARNINGS);
    v1::Module {
        name: descriptor.name.clone(),
        version: descriptor.version.clone(),
        revision: entry.revision,
        origin: origin(entry.origin).into(),
        title: descriptor.title.clone(),
        description,
        tags: descriptor.tags.clone(),
        capabilities: capabilities.iter().map(|capability| self::capability(capability, whole)).collect(),
        data_types: data_types.iter().map(|data_type| self::data_type(data_type, whole)).collect(),
        relationships,
        path: entry.path.clone(),
        descriptor_json: if whole { descriptor_json(descriptor) } else { String::new() },
        digest: entry.digest.clone(),
        warnings: if whole { warnings } else { Vec::new() },
        create_time: Some(timestamp(Timestamp(entry.create_time_micros))),
        update_time: Some(timestamp(Timestamp(entry.update_time_micros))),
        revisions: Vec::new(),
        truncated_fields,
    }
}

/// The whole descriptor. Indented for people, unless that makes too much of it: a message must fit every client.
fn descriptor_json(descriptor: &Descriptor) -> String {
    let indented = claude_comms_descriptors::to_json(descriptor);
    if indented.len() <= INDENTED_BYTES {
        return indented;
    }
    claude_comms_descriptors::canonical_json(descriptor)
}

/// What counts no more because of this module.
fn covered(registry: &Registry, entry: &Entry) -> Vec<String> {
    let name = &entry.descriptor.name;
    let origins = registry.origins(name).into_iter().filter(|origin| *origin > entry.origin);
    let told = origins.filter_map(|origin| registry.get_from(name, origin)).map(|other| {
        let place = if other.path.is_empty() { "built in".to_owned() } else { other.path.clone() };
        format!(
            "covers version {} ({place}), which does not count while this one is there",
            other.descriptor.version
        )
    });
    told.collect()
}

/// The first ones, as many as a list shows. The field counts as cut if some are missing, or if a text of theirs is cut.
fn first<'a, T>(
    all: &'a [T],
    field: &str,
    text: impl Fn(&T) -> &str,
    truncated: &mut Vec<String>,
) -> &'a [T] {
    let shown = &all[..all.len().min(LIST_PARTS)];
    if shown.len() < all.len() || shown.iter().any(|part| text(part).len() > LIST_PART_BYTES) {
        truncated.push(field.to_owned());
    }
    shown
}

fn capability(capability: &claude_comms_descriptors::Capability, whole: bool) -> v1::Capability {
    let schema =
        |schema: &Option<Value>| schema.as_ref().filter(|_| whole).map(Value::to_string).unwrap_or_default();
    v1::Capability {
        name: capability.name.clone(),
        description: cut(&capability.description, if whole { usize::MAX } else { LIST_PART_BYTES }).0,
        tags: if whole { capability.tags.clone() } else { Vec::new() },
        read_only: capability.read_only,
        input_schema_json: schema(&capability.input),
        output_schema_json: schema(&capability.output),
    }
}

fn data_type(data_type: &claude_comms_descriptors::DataType, whole: bool) -> v1::DataType {
    v1::DataType {
        name: data_type.name.clone(),
        media_type: data_type.media_type.clone(),
        description: cut(&data_type.description, if whole { usize::MAX } else { LIST_PART_BYTES }).0,
        schema_json: data_type.schema.as_ref().filter(|_| whole).map(Value::to_string).unwrap_or_default(),
    }
}

fn relationships(
    registry: &Registry,
    descriptor: &Descriptor,
    truncated: &mut Vec<String>,
) -> Vec<v1::ModuleRelationship> {
    let mut all = registry.relationships(&descriptor.name);
    let shown = all.len().min(RELATIONSHIPS);
    let too_long = |text: &String| text.len() > RELATIONSHIP_BYTES;
    let is_cut = |one: &Resolved| too_long(&one.descriptions.this) || too_long(&one.descriptions.other);
    if shown < all.len() || all.iter().any(is_cut) {
        truncated.push("relationships".to_owned());
        all.truncate(shown);
    }
    all.into_iter().map(relationship).collect()
}

fn relationship(resolved: Resolved) -> v1::ModuleRelationship {
    let kind = match resolved.kind {
        RelationKind::Consumes => v1::RelationshipKind::Consumes,
        RelationKind::Produces => v1::RelationshipKind::Produces,
        RelationKind::DependsOn => v1::RelationshipKind::DependsOn,
        RelationKind::RequiredBy => v1::RelationshipKind::RequiredBy,
        RelationKind::Peer => v1::RelationshipKind::Peer,
    };
    v1::ModuleRelationship {
        module: resolved.module,
        kind: kind.into(),
        description: cut(&resolved.descriptions.this, RELATIONSHIP_BYTES).0,
        other_description: cut(&resolved.descriptions.other, RELATIONSHIP_BYTES).0,
        declared_here: resolved.declared_by != DeclaredBy::Other,
        declared_there: resolved.declared_by != DeclaredBy::This,
        known: resolved.known,
    }
}

/// As many items as fit one message; at least one.
pub(super) fn fitting<T>(items: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut total = 0;
    let mut taken: Vec<T> = Vec::new();
    for item in items {
        // Tag and length of each item come on top.
        total += bytes(&item) + 8;
        if total > PAGE_BYTES && !taken.is_empty() {
            break;
        }
        taken.push(item);
    }
    taken
}

pub(super) fn revision(record: &ModuleRevisionInfo) -> v1::ModuleRevision {
    v1::ModuleRevision {
        version: record.version.clone(),
        revision: record.revision,
        digest: record.digest.clone(),
        create_time: Some(timestamp(record.update_time)),
        current: record.current,
    }
}

fn origin(origin: Origin) -> v1::ModuleOrigin {
    match origin {
        Origin::Registered => v1::ModuleOrigin::Registered,
        Origin::Directory => v1::ModuleOrigin::Directory,
        Origin::BuiltIn => v1::ModuleOrigin::BuiltIn,
    }
}

/// The origin behind a wire value; `None` for UNSPECIFIED.
pub(super) fn origin_of(origin: v1::ModuleOrigin) -> Option<Origin> {
    match origin {
        v1::ModuleOrigin::Unspecified => None,
        v1::ModuleOrigin::Registered => Some(Origin::Registered),
        v1::ModuleOrigin::Directory => Some(Origin::Directory),
        v1::ModuleOrigin::BuiltIn => Some(Origin::BuiltIn),
    }
}

/// Whether a conversation is one between these modules; names that are not given fit.
pub(super) fn fits(conversation: &Conversation, source: &str, target: &str) -> Result<(), ApiError> {
    let name = |module: &Option<ModuleRef>| module.as_ref().map(|module| module.name.clone());
    let (has_source, has_target) = (name(&conversation.source_module), name(&conversation.target_module));
    let mut problems = Vec::new();
    if has_target.is_none() {
        problems.push((
            "conversation_id".to_owned(),
            "is not a conversation with a module; use SendMessage".to_owned(),
        ));
    }
    for (field, given, has) in [("source", source, &has_source), ("target", target, &has_target)] {
        if !given.is_empty() && has.as_deref() != Some(given) && has_target.is_some() {
            let has = has.as_deref().map_or_else(|| "a person".to_owned(), |name| format!("module {name}"));
            problems.push((field.to_owned(), format!("is {given}, but the conversation's {field} is {has}")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ApiError::BadFields(problems)) }
}

#[cfg(test)]
mod tests;
