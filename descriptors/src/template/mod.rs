//! Template files: front matter (version, parameters) and a minijinja body. Rendering is the server's.
//!
//! [`TemplateFile`] is a file, [`syntax`] what its body may say, [`schema`] how JSON Schemas are compiled so that an
//! untrusted one cannot hang or fill the process.

mod file;
mod front_matter;
pub mod schema;
pub mod syntax;

#[cfg(test)]
mod tests;

pub use file::{MAX_BYTES, Parameter, PromptRule, RESERVED, TemplateFile, TemplateProblem};
