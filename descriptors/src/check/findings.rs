//! Collects what the checks find. Knows no rule.

use crate::{
    node::{At, Place},
    problem::Problem,
};

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Findings {
    /// A problem with a value.
    pub(super) fn problem(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.problems.push(problem(&at.path, at.node.place, message.into()));
    }

    /// A problem with something that is not a value: a key, or what is missing.
    pub(super) fn problem_at(&mut self, path: String, place: Place, message: impl Into<String>) {
        self.problems.push(problem(&path, place, message.into()));
    }

    pub(super) fn warning(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.warnings.push(problem(&at.path, at.node.place, message.into()));
    }

    /// Whether a problem is known at that path or below it.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| {
            problem
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || path.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}

fn problem(path: &str, place: Place, message: String) -> Problem {
    Problem { path: path.to_owned(), line: Some(place.line), column: Some(place.column), message }
}
