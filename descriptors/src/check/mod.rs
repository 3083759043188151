//! Reading a descriptor and saying everything that is wrong with it: the text, its shape (the format's JSON Schema), and
//! the rules that no schema can say. Knows no server and no registry: relationships to modules that nobody has are fine.

mod duplicates;
mod findings;
pub mod limits;
mod names;
mod parse;
mod schemas;
mod shape;
mod templates;
mod texts;
mod turns;

pub use parse::{Parsed, TemplateFiles, parse, parse_bytes};
