//! The sections that prompts are made of: their names, which are their tags, and their titles. The texts are in the
//! templates.

/// Every section with its title, in the order of the prompts.
const SECTIONS: &[(&str, &str)] = &[
    ("protocol", "Protocol"),
    ("source", "Who asks"),
    ("target", "Who answers"),
    ("relationship", "How they stand to each other"),
    ("shared_data_types", "Data types of both"),
    ("capabilities", "Capabilities"),
    ("glossary", "Words"),
    ("constraints", "Constraints"),
    ("answer_rules", "Rules of the answer"),
    ("history", "Earlier turns"),
    ("capability", "The capability asked for"),
    ("request", "What had been asked"),
    ("response", "The system's response"),
    ("error", "The system's error"),
    ("question", "The question"),
    ("parameters", "Parameters"),
    ("output_format", "Form of the answer"),
];

/// Sections that a caller may leave out. All others are always there when there is something to say in them.
pub const OPTIONAL_SECTIONS: &[&str] =
    &["relationship", "shared_data_types", "capabilities", "glossary", "history"];

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().map(|(name, _)| *name)
}

pub(crate) fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}

pub(crate) fn title(name: &str) -> &'static str {
    SECTIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, title)| title)
}
