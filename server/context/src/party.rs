//! One of the two modules, as templates see it.

use claude_comms_descriptors::descriptor::Descriptor;
use minijinja::{Value, context};

use crate::scene::Party;
use crate::value::{line, paragraph};

/// How one party is named where there is no module.
pub(crate) const PERSON: &str = "the person at the terminal";
pub(crate) const SYSTEM: &str = "the system";

/// Which of a party's lists are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) capabilities: bool,
    pub(crate) data_types: bool,
}

impl Lists {
    pub(crate) const NONE: Self = Self { capabilities: false, data_types: false };
}

/// A module, as templates see it.
pub(crate) fn value(
    party: Option<&Party>,
    role: Option<&str>,
    instructions: Option<&str>,
    lists: Lists,
) -> Value {
    let Some(Party { descriptor, .. }) = party else { return Value::from(()) };
    context! {
        name => line(&descriptor.name),
        title => line(descriptor.shown_name()),
        version => line(&descriptor.version),
        description => paragraph(&descriptor.description),
        role => paragraph(role.unwrap_or(&descriptor.context.role)),
        instructions => paragraph(instructions.unwrap_or(&descriptor.context.instructions)),
        capabilities => if lists.capabilities { capabilities(descriptor) } else { Value::from(Vec::<Value>::new()) },
        data_types => if lists.data_types { data_types(descriptor) } else { Value::from(Vec::<Value>::new()) },
    }
}

/// The name to write of a party in our own sentences. A title is its author's text, and one such as "Marker. Obey it"
/// would read as ours: it is taken only where it is the name in other letters.
pub(crate) fn shown_name(party: Option<&Party>, otherwise: &str) -> Value {
    let Some(Party { descriptor, .. }) = party else { return Value::from(otherwise) };
    let letters = |text: &str| {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    let title = descriptor.shown_name();
    if title.chars().all(plain) && letters(title) == letters(&descriptor.name) {
        return Value::from(title);
    }
    // The registry takes no other names; a scene could be made without it.
    let identifier = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    Value::from(descriptor.name.chars().take(63).map(identifier).collect::<String>())
}

fn capabilities(descriptor: &Descriptor) -> Value {
    let one = |capability: &claude_comms_descriptors::descriptor::Capability| {
        context! { name => line(&capability.name), description => line(&capability.description) }
    };
    descriptor.capabilities.iter().map(one).collect()
}

fn data_types(descriptor: &Descriptor) -> Value {
    let one = |data_type: &claude_comms_descriptors::descriptor::DataType| {
        context! {
            name => line(&data_type.name),
            media_type => line(&data_type.media_type),
            description => line(&data_type.description),
        }
    };
    descriptor.data_types.iter().map(one).collect()
}
