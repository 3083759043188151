//! The scene of a conversation: who asks, who answers, how they stand to each other, by which templates, within which
//! budget. It is pinned with the conversation, so it holds everything and refers to nothing. It must not know how
//! prompts are made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use claude_comms_descriptors::descriptor::Descriptor;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{ComposeError, SceneError};
use crate::near::did_you_mean;
use crate::sections;
use crate::templates::TemplateRecord;

/// Tokens that a conversation's system prompt and one message may have together where nothing else is said.
pub const DEFAULT_TOKEN_BUDGET: u32 = 12_000;

/// The least and the most that a caller may ask for as a token budget.
pub const TOKEN_BUDGETS: std::ops::RangeInclusive<u32> = 500..=200_000;

/// Bytes that one overriding text may have.
pub const OVERRIDE_TEXT_BYTES: usize = 16 * 1024;

/// Entries that an overriding list or map may have.
pub const OVERRIDE_ENTRIES: usize = 100;

/// All that a conversation's prompts are made of; pinned with the conversation, stored by its digest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Scene {
    /// Who asks; absent for the person at the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Party>,
    /// For whom Claude answers; absent for a plain conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Party>,
    /// How the two stand to each other, as their descriptors say; empty where neither names the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<RelationshipLine>,
    /// Every template of the conversation's namespace, those built in included.
    pub templates: Vec<TemplateRecord>,
    /// What the caller wants otherwise.
    #[serde(default)]
    pub overrides: Overrides,
    /// Tokens that the system prompt and one message may have together.
    pub token_budget: u32,
}

/// One of the two modules, as it was when the scene was made.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Party {
    /// The descriptor; its context is already resolved through `extends`.
    pub descriptor: Descriptor,
    /// The registry's revision of it.
    pub revision: u32,
    /// Where it came from: `REGISTERED`, `DIRECTORY` or `BUILT_IN`.
    pub origin: String,
    /// SHA-256 of the descriptor, in hex.
    pub digest: String,
}

/// One way in which the two modules stand to each other.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RelationshipLine {
    /// What the target is to the source: `consumes`, `produces`, `depends_on`, `required_by` or `peer`.
    pub kind: String,
    /// What the source's descriptor says of it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_says: String,
    /// What the target's descriptor says of it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_says: String,
}

/// What a caller wants otherwise than the descriptors say, for one conversation.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// In place of the source's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_role: Option<String>,
    /// In place of the target's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role: Option<String>,
    /// In place of what the descriptors say of the relationship.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<String>,
    /// In place of the target's instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Added to both modules' constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Merged into the glossary; these entries win over both modules'.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub glossary: BTreeMap<String, String>,
    /// Sections to leave out: one or more of [`OPTIONAL_SECTIONS`](crate::OPTIONAL_SECTIONS).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omit_sections: Vec<String>,
    /// In place of the scene's budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u32>,
}

impl Scene {
    /// The scene as JSON; the same scene gives the same bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a scene has string keys only, and JSON can say all its values")
    }

    /// The scene that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`SceneError`] when the text is not a scene's: a damaged store, or a newer server's format.
    pub fn from_json(json: &str) -> Result<Self, SceneError> {
        serde_json::from_str(json).map_err(SceneError)
    }

    /// SHA-256 of a scene's JSON, in hex: the name it is stored by.
    pub fn digest(json: &str) -> String {
        Sha256::digest(json.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all that is written to it");
            hex
        })
    }

    /// The budget in force: the caller's, else the scene's.
    pub fn token_budget(&self) -> u32 {
        self.overrides.token_budget.unwrap_or(self.token_budget)
    }

    /// What is wrong with the overrides, field by field; empty when nothing is.
    pub fn problems(&self) -> Vec<(String, String)> {
        self.overrides.problems()
    }

    /// The scene, if its overrides are in order.
    pub(crate) fn checked(self) -> Result<Self, ComposeError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(ComposeError::Fields(problems)) }
    }
}

impl Overrides {
    fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let texts = [
            ("source_role", &self.source_role),
            ("target_role", &self.target_role),
            ("relationship", &self.relationship),
            ("instructions", &self.instructions),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                too_long(&mut found, field.to_owned(), text);
            }
        }
        too_many(&mut found, "constraints", self.constraints.len());
        for (index, text) in self.constraints.iter().enumerate() {
            too_long(&mut found, format!("constraints[{index}]"), text);
        }
        too_many(&mut found, "glossary", self.glossary.len());
        for (term, meaning) in &self.glossary {
            if term.trim().is_empty() {
                found.push(("glossary".to_owned(), "a term is empty".to_owned()));
            } else if term.len() > 200 {
                found.push(("glossary".to_owned(), "a term has more than 200 bytes".to_owned()));
            } else {
                too_long(&mut found, format!("glossary.{term}"), meaning);
            }
        }
        for (index, name) in self.omit_sections.iter().enumerate() {
            if let Some(problem) = unomittable(name) {
                found.push((format!("omit_sections[{index}]"), problem));
            }
        }
        if let Some(budget) = self.token_budget
            && !TOKEN_BUDGETS.contains(&budget)
        {
            let (least, most) = (TOKEN_BUDGETS.start(), TOKEN_BUDGETS.end());
            found.push(("token_budget".to_owned(), format!("must be from {least} to {most}, is {budget}")));
        }
        found
    }
}

fn too_long(found: &mut Vec<(String, String)>, field: String, text: &str) {
    if text.len() > OVERRIDE_TEXT_BYTES {
        found.push((field, format!("has {} bytes, may have {OVERRIDE_TEXT_BYTES}", text.len())));
    }
}

fn too_many(found: &mut Vec<(String, String)>, field: &str, entries: usize) {
    if entries > OVERRIDE_ENTRIES {
        found.push((field.to_owned(), format!("has {entries} entries, may have {OVERRIDE_ENTRIES}")));
    }
}

fn unomittable(name: &str) -> Option<String> {
    if sections::OPTIONAL_SECTIONS.contains(&name) {
        return None;
    }
    let optional = sections::OPTIONAL_SECTIONS.join(", ");
    Some(if sections::is_known(name) {
        format!("the section {name:?} is always there; these can be left out: {optional}")
    } else {
        let near = did_you_mean(name, sections::OPTIONAL_SECTIONS.iter().copied());
        format!("no section is called {name:?}{near}; these can be left out: {optional}")
    })
}
