//! The modules that every server knows from the start: Marker, ArangoDB, and Claude itself over MCP. Their texts are
//! files in `standard/`, which users may copy.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    check::{TemplateFiles, parse},
    descriptor::Descriptor,
};

/// The files, as they are in the source.
const FILES: [(&str, &str); 3] = [
    ("marker.yaml", include_str!("../standard/marker.yaml")),
    ("arangodb.yaml", include_str!("../standard/arangodb.yaml")),
    ("claude_mcp.yaml", include_str!("../standard/claude_mcp.yaml")),
];

static STANDARD: LazyLock<Vec<Descriptor>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(file, text)| match parse(text, TemplateFiles::Refused) {
            Ok(parsed) => parsed.descriptor,
            Err(problems) => panic!("the standard module {file} is tested to be valid: {problems:?}"),
        })
        .collect()
});

/// The standard modules.
pub fn standard() -> &'static [Descriptor] {
    &STANDARD
}

/// The text of a standard module, as people may copy it, by the module's name.
pub fn standard_text(name: &str) -> Option<&'static str> {
    static BY_NAME: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        standard().iter().zip(FILES).map(|(descriptor, (_, text))| (descriptor.name.as_str(), text)).collect()
    });
    BY_NAME.get(name).copied()
}
