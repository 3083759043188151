//! Prompts: what Claude is told of asker and asked, in sections, by templates, within a token budget; and the reading of
//! what comes back. Pure: no I/O, no clock, no registry.

pub mod answer;
pub mod templates;
