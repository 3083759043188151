//! Relationships seen from both sides: what a module declares, and what others declare to it. Knows no wording of
//! prompts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Registry;
use super::inherit::did_you_mean;
use crate::{Descriptor, RelationshipKind};

/// For how many unknown modules of a descriptor near names are sought: a guard, as each is a walk over all names.
const SUGGESTIONS: usize = 16;

/// What another module is to the one it is seen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// This module takes what the other one makes.
    Consumes,
    /// This module makes what the other one takes.
    Produces,
    /// This module cannot work without the other one.
    DependsOn,
    /// The other module cannot work without this one. Never declared; it is `depends_on` seen from the other side.
    RequiredBy,
    /// They work side by side.
    Peer,
}

impl RelationKind {
    /// The name in texts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumes => "consumes",
            Self::Produces => "produces",
            Self::DependsOn => "depends_on",
            Self::RequiredBy => "required_by",
            Self::Peer => "peer",
        }
    }

    /// The same relationship seen from the other side.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Consumes => Self::Produces,
            Self::Produces => Self::Consumes,
            Self::DependsOn => Self::RequiredBy,
            Self::RequiredBy => Self::DependsOn,
            Self::Peer => Self::Peer,
        }
    }

    /// Whether a descriptor can say this.
    fn declarable(self) -> bool {
        self != Self::RequiredBy
    }
}

impl std::fmt::Display for RelationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<RelationshipKind> for RelationKind {
    fn from(kind: RelationshipKind) -> Self {
        match kind {
            RelationshipKind::Consumes => Self::Consumes,
            RelationshipKind::Produces => Self::Produces,
            RelationshipKind::DependsOn => Self::DependsOn,
            RelationshipKind::Peer => Self::Peer,
        }
    }
}

/// Who declares a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredBy {
    /// The module that it is seen from.
    This,
    /// The other module.
    Other,
    /// Both, in agreement.
    Both,
}

/// A relationship in words; empty where a side says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptions {
    /// The words of the module that it is seen from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub this: String,
    /// The other module's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub other: String,
}

/// A relationship, seen from one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The other module.
    pub module: String,
    /// Whether the registry knows the other module.
    pub known: bool,
    /// What the other module is to this one.
    pub kind: RelationKind,
    /// Who says so.
    pub declared_by: DeclaredBy,
    /// What they say.
    pub descriptions: Descriptions,
}

impl Registry {
    /// How a module stands to all others, whichever side says so: first what it declares itself, in its order, then what
    /// others declare, by their names. A module that is not known may have the latter.
    pub fn relationships(&self, name: &str) -> Vec<Resolved> {
        self.resolve(name, self.get(name).map(|entry| &*entry.descriptor))
    }

    /// As [`Registry::relationships`], of a descriptor that need not be registered.
    pub fn relationships_of(&self, descriptor: &Descriptor) -> Vec<Resolved> {
        self.resolve(&descriptor.name, Some(descriptor))
    }

    /// How `a` stands to `b`, seen from `a`.
    pub fn between(&self, a: &str, b: &str) -> Vec<Resolved> {
        let (a_side, b_side) = (self.get(a), self.get(b));
        if a == b {
            return Vec::new();
        }
        let ours = a_side.map(|entry| declared(&entry.descriptor, b)).unwrap_or_default();
        let theirs = b_side.map(|entry| declared(&entry.descriptor, a)).unwrap_or_default();
        let mut lines = Vec::new();
        join(&mut lines, b, b_side.is_some(), ours, theirs);
        lines
    }

    /// What is wrong with a module's relationships: modules that are not known, sides that the others do not declare,
    /// contradictions. None for a module that is not known.
    pub fn relationship_warnings(&self, name: &str) -> Vec<String> {
        self.get(name).map(|entry| self.relationship_warnings_of(&entry.descriptor)).unwrap_or_default()
    }

    /// As [`Registry::relationship_warnings`], of a descriptor that need not be registered.
    pub fn relationship_warnings_of(&self, descriptor: &Descriptor) -> Vec<String> {
        let name = &descriptor.name;
        let mut warnings = Vec::new();
        let mut suggestions = 0;
        for (at, relationship) in descriptor.relationships.iter().enumerate() {
            let other = &relationship.module;
            if other == name {
                warnings.push(format!("relationships[{at}]: module {other} is this module itself"));
                continue;
            }
            let Some(entry) = self.get(other) else {
                suggestions += 1;
                let near = if suggestions <= SUGGESTIONS { self.near(other, 2) } else { Vec::new() };
                let near: Vec<String> = near.into_iter().filter(|near| near != name).collect();
                warnings.push(format!(
                    "relationships[{at}]: module {other} is not registered{}",
                    did_you_mean(&near)
                ));
                continue;
            };
            let kind = RelationKind::from(relationship.kind);
            let theirs = declared(&entry.descriptor, name);
            if theirs.contains_key(&kind.inverse()) {
                continue;
            }
            // Both may well say "consumes" where each also says "produces"; then nothing is left unmatched.
            let contradicts = kind != kind.inverse()
                && theirs.contains_key(&kind)
                && !declared(descriptor, other).contains_key(&kind.inverse());
            if contradicts {
                warnings.push(format!(
                    "relationships[{at}]: {name} and {other} contradict each other: both declare kind {kind}"
                ));
            } else if kind.inverse().declarable() {
                warnings.push(format!(
                    "{other} does not declare its side: kind {}, module {name}",
                    kind.inverse()
                ));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        warnings
    }

    fn resolve(&self, name: &str, descriptor: Option<&Descriptor>) -> Vec<Resolved> {
        let mut ours: Vec<(&str, Declared<'_>)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for relationship in descriptor.into_iter().flat_map(|descriptor| &descriptor.relationships) {
            let other = relationship.module.as_str();
            let place = *places.entry(other).or_insert_with(|| {
                ours.push((other, Declared::new()));
                ours.len() - 1
            });
            ours[place].1.entry(relationship.kind.into()).or_default().push(&relationship.description);
        }
        for other in self.declarers(name) {
            if !places.contains_key(other) {
                ours.push((other, Declared::new()));
            }
        }
        let mut lines = Vec::new();
        for (other, declared_here) in ours {
            // A relationship to itself says nothing; it is warned of.
            if other != name {
                let entry = self.get(other);
                let theirs = entry.map(|entry| declared(&entry.descriptor, name)).unwrap_or_default();
                join(&mut lines, other, entry.is_some(), declared_here, theirs);
            }
        }
        lines
    }
}

/// What one module says of another one: kind -> descriptions.
type Declared<'a> = BTreeMap<RelationKind, Vec<&'a str>>;

fn declared<'a>(descriptor: &'a Descriptor, other: &str) -> Declared<'a> {
    let mut kinds = Declared::new();
    for relationship in descriptor.relationships.iter().filter(|relationship| relationship.module == other) {
        kinds.entry(relationship.kind.into()).or_default().push(&relationship.description);
    }
    kinds
}

/// One line for each kind that either side declares, this side's first.
fn join(lines: &mut Vec<Resolved>, other: &str, known: bool, ours: Declared<'_>, mut theirs: Declared<'_>) {
    let mut line = |kind, declared_by, this: &[&str], that: &[&str]| {
        lines.push(Resolved {
            module: other.to_owned(),
            known,
            kind,
            declared_by,
            descriptions: Descriptions { this: words(this), other: words(that) },
        });
    };
    for (kind, this) in ours {
        match theirs.remove(&kind.inverse()) {
            Some(that) => line(kind, DeclaredBy::Both, &this, &that),
            None => line(kind, DeclaredBy::This, &this, &[]),
        }
    }
    for (kind, that) in theirs {
        line(kind.inverse(), DeclaredBy::Other, &[], &that);
    }
}

/// The descriptions that say something, each once.
fn words(descriptions: &[&str]) -> String {
    let mut said: Vec<&str> = Vec::new();
    for description in descriptions {
        if !description.is_empty() && !said.contains(description) {
            said.push(description);
        }
    }
    said.join(" ")
}
