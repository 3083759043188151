//! A namespace of templates, and their rendering: strict, escaped, bounded.
//!
//! [`Templates`] is the namespace of one conversation, compiled once. What it prints is escaped by [`escape`]'s rules,
//! whatever a template says; what it may do is bounded by `claude_comms_descriptors::template::syntax` (when it is
//! read) and by [`RenderLimits`] (when it runs).

mod compile;
pub mod escape;
mod filters;
mod limits;
mod namespace;
mod parameters;
mod print;
mod record;
mod render;
#[cfg(test)]
mod tests;

pub use limits::{RenderError, RenderErrorKind, RenderLimits};
pub use minijinja::{Value, context};
pub use namespace::{TemplateInfo, Templates, UnknownTemplate};
pub use parameters::{ParameterProblem, check_parameters};
pub use record::{Layer, TemplateProblemIn, TemplateRecord};
