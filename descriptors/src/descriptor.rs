//! The descriptor's types, which are its format: what serde reads here is `claude-comms/module/v1`. Rules that types
//! cannot say are in the validation; this file must not know where a descriptor came from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format's name, the value of a descriptor's `schema`.
pub const SCHEMA: &str = "claude-comms/module/v1";

/// A module, described by its author.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The format: `claude-comms/module/v1`.
    pub schema: String,
    /// The module's name: `^[a-z][a-z0-9_-]{0,62}$`.
    pub name: String,
    /// The module's version, as of semver.org.
    pub version: String,
    /// The name as people write it; empty means `name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What the module is and does, in one to five sentences.
    pub description: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// What it takes and gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_types: Vec<DataType>,
    /// How it stands to other modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<Relationship>,
    /// What Claude is told about it beside all this.
    #[serde(default, skip_serializing_if = "is_default")]
    pub context: ContextSpec,
    /// Which of its files may be read to ground its answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: Files,
    /// Limits of the turns that it answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
}

/// Something a module can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Its name, unique in the module: `^[a-z][a-z0-9_-]{0,62}$`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it changes nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// What it takes, as a JSON Schema 2020-12; absent means unspecified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What it gives, as a JSON Schema 2020-12; absent means unspecified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Examples of its use, which fit the schemas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// One use of a capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What goes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// A kind of data that a module takes or gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataType {
    /// Its name, unique in the module. Two modules share a type when they give it the same name.
    pub name: String,
    /// Its media type, such as `application/json`; empty means unspecified.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its shape, as a JSON Schema 2020-12; absent means unspecified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// How a module stands to another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relationship {
    /// The other module's name.
    pub module: String,
    /// How this module stands to the other one.
    pub kind: RelationshipKind,
    /// The relationship in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How a module stands to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelationshipKind {
    /// This module takes what the other one makes.
    Consumes,
    /// This module makes what the other one takes.
    Produces,
    /// This module cannot work without the other one.
    DependsOn,
    /// They work side by side.
    Peer,
}

impl RelationshipKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Consumes, Self::Produces, Self::DependsOn, Self::Peer];

    /// The name in a descriptor.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumes => "consumes",
            Self::Produces => "produces",
            Self::DependsOn => "depends_on",
            Self::Peer => "peer",
        }
    }
}

/// What Claude is told when it speaks for the module, or to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextSpec {
    /// Who the module is in a conversation, in the second person: "You know ArangoDB ...".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// How its answers should be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// What its answers must keep to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Its words, and what they mean.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub glossary: BTreeMap<String, String>,
    /// A module whose context this one begins with: what is empty here is taken from there, lists and maps are joined
    /// (this module's entries win).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Its templates by name; they win over all others of that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, TemplateText>,
}

/// Where a template's text is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TemplateText {
    /// In a file, named relative to the descriptor's. Clients inline it when they register the module.
    File(String),
    /// Here.
    Inline {
        /// The template.
        inline: String,
    },
}

/// Which files of a module may be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Patterns relative to the module's path: `README.md`, `docs/**`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
}

/// Limits of the turns that a module answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Model alias or name; absent means the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Most rounds of tools in one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Most US dollars of one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// Longest time of one turn, such as `120s` or `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl Descriptor {
    /// The name as people write it.
    pub fn shown_name(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }

    /// The capability of that name.
    pub fn capability(&self, name: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.name == name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
