//! What a descriptor may cost at most.

/// Bytes of a descriptor's text, and of the descriptor as JSON with its templates in it, as it is kept: 512 KiB.
pub const TEXT_BYTES: usize = 512 * 1024;
/// Levels of nesting.
pub const DEPTH: usize = 64;
/// Capabilities of a module.
pub const CAPABILITIES: usize = 512;
/// Data types of a module.
pub const DATA_TYPES: usize = 512;
/// Relationships of a module.
pub const RELATIONSHIPS: usize = 256;
/// Tags of a module, and of a capability.
pub const TAGS: usize = 64;
/// Templates of a module.
pub const TEMPLATES: usize = 32;
/// Entries of a glossary.
pub const GLOSSARY: usize = 1000;
/// Constraints of a module.
pub const CONSTRAINTS: usize = 256;
/// File patterns of a module.
pub const FILES: usize = 256;
/// Bytes of a version, of a module or a template.
pub const VERSION_BYTES: usize = 128;
/// Bytes of a length of time.
pub const TIME_BYTES: usize = 64;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 63;
/// Bytes of a title, a media type, a glossary's word, a file pattern and a model's name.
pub const TITLE_BYTES: usize = 256;
/// Bytes of a description (of a template too), a constraint and a glossary's explanation: 8 KiB.
pub const DESCRIPTION_BYTES: usize = 8 * 1024;
/// Bytes of a role and of instructions: 32 KiB.
pub const ROLE_BYTES: usize = 32 * 1024;
/// Bytes of a template: 64 KiB.
pub const TEMPLATE_BYTES: usize = 64 * 1024;
