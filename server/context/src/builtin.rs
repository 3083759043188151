//! The templates that are built in: their names and texts.

use crate::templates::{Layer, TemplateRecord};

const TEXTS: [(&str, &str); 6] = [
    ("context", include_str!("builtin/context.j2")),
    ("error", include_str!("builtin/error.j2")),
    ("follow_up", include_str!("builtin/follow_up.j2")),
    ("multi_turn", include_str!("builtin/multi_turn.j2")),
    ("query", include_str!("builtin/query.j2")),
    ("response", include_str!("builtin/response.j2")),
];

/// The templates that every namespace begins with, by name.
pub fn built_in_templates() -> Vec<TemplateRecord> {
    TEXTS
        .iter()
        .map(|(name, text)| TemplateRecord {
            layer: Layer::BuiltIn,
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect()
}
