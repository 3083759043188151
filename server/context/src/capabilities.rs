//! The target's capabilities: how much of each is shown, and in which order they are given up.

use std::sync::OnceLock;

use claude_comms_descriptors::descriptor::{Capability, Example};
use minijinja::{Value, context};

use crate::rank::{Hits, Vocabulary, Words};
use crate::schema;
use crate::tokens::estimate_tokens;
use crate::value::{json, json_or_none, line};

/// How much of a capability is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// All, with an example.
    Whole,
    /// Schemas as they are.
    NoExample,
    /// Schemas without descriptions.
    NoDescriptions,
    /// Schemas without descriptions and without depths.
    Flat,
    /// Nothing.
    Gone,
}

/// One capability, ready to be shown and ranked.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    words: Words,
    whole: Value,
    no_example: Value,
    has_example: bool,
    has_schema: bool,
    /// What only a tight budget asks for.
    short: OnceLock<Short>,
}

/// A capability with shortened schemas, and what each cut saves.
#[derive(Debug)]
struct Short {
    no_descriptions: Value,
    flat: Value,
    /// Tokens that are saved by cutting down to each detail from the one before.
    savings: [u32; 5],
}

impl Shown {
    pub(crate) fn new(capability: &Capability, vocabulary: &mut Vocabulary) -> Self {
        let input = json_or_none(capability.input.as_ref());
        let output = json_or_none(capability.output.as_ref());
        let example = first_example(capability);
        Self {
            name: capability.name.clone(),
            words: vocabulary.add(words_of(capability)),
            no_example: value(capability, input.clone(), output.clone(), Value::from(())),
            has_example: !example.is_none(),
            has_schema: capability.input.is_some() || capability.output.is_some(),
            whole: value(capability, input, output, example),
            short: OnceLock::new(),
        }
    }

    /// What cuts make sense of it.
    pub(crate) fn can_lose(&self, detail: Detail) -> bool {
        match detail {
            Detail::Whole => false,
            Detail::NoExample => self.has_example,
            Detail::NoDescriptions | Detail::Flat => self.has_schema,
            Detail::Gone => true,
        }
    }

    /// Tokens that are saved by cutting down to a detail from the one before, about.
    pub(crate) fn saving(&self, capability: &Capability, detail: Detail) -> u32 {
        self.short(capability).savings[detail as usize]
    }

    /// The capability as a template sees it; none when it is gone.
    pub(crate) fn at(&self, capability: &Capability, detail: Detail) -> Option<Value> {
        match detail {
            Detail::Whole => Some(self.whole.clone()),
            Detail::NoExample => Some(self.no_example.clone()),
            Detail::NoDescriptions => Some(self.short(capability).no_descriptions.clone()),
            Detail::Flat => Some(self.short(capability).flat.clone()),
            Detail::Gone => None,
        }
    }

    fn short(&self, capability: &Capability) -> &Short {
        self.short.get_or_init(|| Short::new(capability))
    }
}

impl Short {
    fn new(capability: &Capability) -> Self {
        let full = [&capability.input, &capability.output];
        let bare = full.map(|schema| schema.as_ref().map(schema::without_descriptions));
        let flat = full.map(|schema| schema.as_ref().map(schema::flat));
        let tokens =
            |schemas: &[Option<serde_json::Value>; 2]| schemas.iter().flatten().map(json_tokens).sum::<u32>();
        let whole_tokens = full.into_iter().flatten().map(json_tokens).sum::<u32>();
        let (bare_tokens, flat_tokens) = (tokens(&bare), tokens(&flat));
        let example = capability.examples.first().map_or(0, |example| {
            let values = [&example.input, &example.output].into_iter().flatten();
            estimate_tokens(&example.description) + values.map(json_tokens).sum::<u32>() + 8
        });
        let rest = estimate_tokens(&capability.name) + estimate_tokens(&capability.description) + 14;
        let value = |[input, output]: [Option<serde_json::Value>; 2]| {
            value(capability, json_or_none(input.as_ref()), json_or_none(output.as_ref()), Value::from(()))
        };
        Self {
            savings: [
                0,
                example,
                whole_tokens.saturating_sub(bare_tokens),
                bare_tokens.saturating_sub(flat_tokens),
                rest + flat_tokens,
            ],
            no_descriptions: value(bare),
            flat: value(flat),
        }
    }
}

fn json_tokens(value: &serde_json::Value) -> u32 {
    estimate_tokens(&value.to_string())
}

/// The capabilities' places in the descriptor, least relevant to the question first; of equals the last first.
pub(crate) fn least_relevant_first(
    shown: &[Shown],
    vocabulary: &Vocabulary,
    hits: &Hits,
    named: Option<&str>,
) -> Vec<usize> {
    let mut order: Vec<_> = (0..shown.len()).collect();
    let score = |at: usize| {
        if Some(shown[at].name.as_str()) == named {
            u64::MAX
        } else {
            vocabulary.score(&shown[at].words, hits)
        }
    };
    order.sort_by_cached_key(|at| (score(*at), std::cmp::Reverse(*at)));
    order
}

/// The first example as a template sees it, or none.
pub(crate) fn first_example(capability: &Capability) -> Value {
    match capability.examples.first() {
        Some(Example { description, input, output }) => context! {
            description => line(description),
            input => input.as_ref().map(json),
            output => output.as_ref().map(json),
        },
        None => Value::from(()),
    }
}

/// A capability as a template sees it.
pub(crate) fn value(capability: &Capability, input: Value, output: Value, example: Value) -> Value {
    context! {
        name => line(&capability.name),
        description => line(&capability.description),
        read_only => capability.read_only,
        input => input,
        output => output,
        example => example,
    }
}

fn words_of(capability: &Capability) -> Vec<(u32, &str)> {
    let mut parts = vec![(3, capability.name.as_str()), (2, capability.description.as_str())];
    parts.extend(capability.tags.iter().map(|tag| (3, tag.as_str())));
    parts.extend(capability.examples.iter().map(|example| (1, example.description.as_str())));
    for schema in [&capability.input, &capability.output].into_iter().flatten() {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            parts.extend(properties.keys().map(|name| (1, name.as_str())));
        }
    }
    parts
}
