//! `context.extends`: a context joined with those that it begins with. Knows only how modules are looked up by name.

use thiserror::Error;

use super::Registry;
use crate::{ContextSpec, Descriptor};

/// How many modules a context may begin with, one beneath the other.
pub const EXTENDS_DEPTH: usize = 8;

/// Why a context could not be resolved. Each names the chain of modules that was followed, the first one first.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExtendsError {
    /// A module of the chain is not known.
    #[error("context of {}: module {module} is not registered{}", .chain.join(" -> "), did_you_mean(.near))]
    Unknown {
        /// The module that is missing: the chain's last.
        module: String,
        /// What was followed.
        chain: Vec<String>,
        /// Names that resemble the missing one, the nearest first.
        near: Vec<String>,
    },
    /// The chain comes back to a module that it has been at.
    #[error("context extends itself: {}", .chain.join(" -> "))]
    Cycle {
        /// What was followed; its last one stands in it before.
        chain: Vec<String>,
    },
    /// The chain is longer than [`EXTENDS_DEPTH`].
    #[error("context extends more than {EXTENDS_DEPTH} modules: {}", .chain.join(" -> "))]
    TooDeep {
        /// What was followed.
        chain: Vec<String>,
    },
}

impl ExtendsError {
    /// The modules that were followed.
    pub fn chain(&self) -> &[String] {
        match self {
            Self::Unknown { chain, .. } | Self::Cycle { chain } | Self::TooDeep { chain } => chain,
        }
    }
}

/// "; did you mean a?" or nothing.
pub(super) fn did_you_mean(near: &[String]) -> String {
    near.first().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

impl Registry {
    /// The context of a module, joined with those that it extends, and the names of all of them, its own first. The
    /// result extends nothing.
    ///
    /// # Errors
    /// A module of the chain (or `name` itself) is not known, the chain is a circle, or too long.
    pub fn resolve_context(&self, name: &str) -> Result<(ContextSpec, Vec<String>), ExtendsError> {
        match self.get(name) {
            Some(entry) => self.resolve_context_of(&entry.descriptor),
            None => Err(self.unknown(name, vec![name.to_owned()])),
        }
    }

    /// As [`Registry::resolve_context`], of a descriptor that need not be registered.
    ///
    /// # Errors
    /// A module of the chain is not known, the chain is a circle, or too long.
    pub fn resolve_context_of(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(ContextSpec, Vec<String>), ExtendsError> {
        let mut chain = vec![descriptor.name.clone()];
        let mut context = descriptor.context.clone();
        while let Some(parent) = context.extends.take() {
            let seen = chain.contains(&parent);
            chain.push(parent);
            if seen {
                return Err(ExtendsError::Cycle { chain });
            }
            if chain.len() > EXTENDS_DEPTH + 1 {
                return Err(ExtendsError::TooDeep { chain });
            }
            let parent = chain.last().expect("a name was just pushed");
            match self.get(parent) {
                Some(entry) => inherit(&mut context, &entry.descriptor.context),
                None => return Err(self.unknown(&parent.clone(), chain)),
            }
        }
        Ok((context, chain))
    }

    fn unknown(&self, module: &str, chain: Vec<String>) -> ExtendsError {
        ExtendsError::Unknown { module: module.to_owned(), chain, near: self.near(module, 3) }
    }
}

/// Takes from the parent what the child lacks, and whom the parent extends.
fn inherit(child: &mut ContextSpec, parent: &ContextSpec) {
    if child.role.is_empty() {
        child.role.clone_from(&parent.role);
    }
    if child.instructions.is_empty() {
        child.instructions.clone_from(&parent.instructions);
    }
    let own = std::mem::take(&mut child.constraints);
    for constraint in parent.constraints.iter().cloned().chain(own) {
        if !child.constraints.contains(&constraint) {
            child.constraints.push(constraint);
        }
    }
    for (word, meaning) in &parent.glossary {
        child.glossary.entry(word.clone()).or_insert_with(|| meaning.clone());
    }
    for (name, template) in &parent.templates {
        child.templates.entry(name.clone()).or_insert_with(|| template.clone());
    }
    child.extends.clone_from(&parent.extends);
}
