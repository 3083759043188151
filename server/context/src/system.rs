//! The system prompt's parts: what the context template is given, and what can be cut of it. It must not know the
//! budget.

mod cut;

use std::collections::BTreeSet;

use minijinja::{Value, context};

pub(crate) use cut::Cut;

use crate::ask::Focus;
use crate::capabilities::{self, Shown};
use crate::glossary::{self, Word};
use crate::party::{self, Lists};
use crate::rank::Vocabulary;
use crate::scene::{Party, Scene};
use crate::shared::{self, Shared};
use crate::value::{line, paragraph};

/// What of a scene is the same for every question.
#[derive(Debug)]
pub(crate) struct Parts {
    capabilities: Vec<Shown>,
    capability_words: Vocabulary,
    glossary: Vec<Word>,
    glossary_words: Vocabulary,
}

/// The parts of one system prompt, and its cuts.
#[derive(Debug)]
pub(crate) struct System<'a> {
    scene: &'a Scene,
    parts: &'a Parts,
    shared: Vec<Shared<'a>>,
    /// Every cut, in the order in which they are made.
    cuts: Vec<Cut>,
}

impl Parts {
    pub(crate) fn new(scene: &Scene) -> Self {
        let mut capability_words = Vocabulary::default();
        let target = scene.target.as_ref().map_or(&[][..], |party| &party.descriptor.capabilities);
        let capabilities =
            target.iter().map(|capability| Shown::new(capability, &mut capability_words)).collect();
        let mut glossary_words = Vocabulary::default();
        let glossary = glossary::words(scene, &mut glossary_words);
        Self { capabilities, capability_words, glossary, glossary_words }
    }
}

impl<'a> System<'a> {
    pub(crate) fn new(scene: &'a Scene, parts: &'a Parts, focus: Focus<'_>) -> Self {
        let shared = match (&scene.source, &scene.target) {
            (Some(source), Some(target)) => shared::of(&source.descriptor, &target.descriptor),
            _ => Vec::new(),
        };
        let hits = parts.capability_words.hits(focus.prompt);
        let order = capabilities::least_relevant_first(
            &parts.capabilities,
            &parts.capability_words,
            &hits,
            focus.capability,
        );
        let words = glossary::least_relevant_first(&parts.glossary, &parts.glossary_words.hits(focus.prompt));
        let named =
            focus.capability.and_then(|name| parts.capabilities.iter().position(|shown| shown.name == name));
        let cuts = cut::in_order(scene, &parts.capabilities, &order, named, &shared, words);
        Self { scene, parts, shared, cuts }
    }

    /// Every cut, in the order in which they are made.
    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// What a cut takes, in words and tokens.
    pub(crate) fn omitted(&self, cut: &Cut) -> crate::report::Omitted {
        cut::omitted(self.scene, &self.parts.capabilities, &self.parts.glossary, &self.shared, cut)
    }

    /// What the context template is given after the first of the cuts, without the sections that are left out.
    pub(crate) fn variables(&self, cuts: usize, left_out: &[String]) -> Value {
        let made = &self.cuts[..cuts];
        let there = |section: &str| !left_out.iter().any(|name| name == section);
        let Scene { source, target, overrides, .. } = self.scene;
        let source_lists = if made.contains(&Cut::SourceLists) {
            Lists::NONE
        } else {
            Lists { capabilities: true, data_types: true }
        };
        let target_lists = Lists { capabilities: false, data_types: !made.contains(&Cut::TargetTypes) };
        let words = made.iter().filter_map(|cut| if let Cut::Word(at) = cut { Some(*at) } else { None });
        let gone: BTreeSet<_> = words.collect();
        context! {
            conversation => conversation(self.scene, true),
            source => party::value(source.as_ref(), overrides.source_role.as_deref(), None, source_lists),
            target => party::value(
                target.as_ref(),
                overrides.target_role.as_deref(),
                overrides.instructions.as_deref(),
                target_lists,
            ),
            relationship => if there("relationship") { relationship(self.scene) } else { Value::from(()) },
            sections => context! {
                shared_data_types => there("shared_data_types").then(|| self.shared_types(made)),
                capabilities => if there("capabilities") { self.capabilities(made) } else { no_capabilities() },
                glossary => there("glossary").then(|| glossary::value(&self.parts.glossary, &gone)),
                constraints => constraints(self.scene),
            },
        }
    }

    fn shared_types(&self, made: &[Cut]) -> Vec<Value> {
        let detail = |place: usize| {
            let cuts = made.iter().filter_map(|cut| match cut {
                Cut::SharedType(at, detail) if *at == place => Some(*detail),
                _ => None,
            });
            cuts.max().unwrap_or(shared::Detail::Schema)
        };
        self.shared.iter().enumerate().filter_map(|(at, shared)| shared.at(detail(at))).collect()
    }

    fn capabilities(&self, made: &[Cut]) -> Value {
        let mut details = vec![capabilities::Detail::Whole; self.parts.capabilities.len()];
        for cut in made {
            if let Cut::Capability(at, detail) = cut {
                details[*at] = details[*at].max(*detail);
            }
        }
        let described = self.scene.target.as_ref().map_or(&[][..], |party| &party.descriptor.capabilities);
        let parts = self.parts.capabilities.iter().zip(described).zip(details);
        let shown: Vec<_> =
            parts.filter_map(|((shown, capability), detail)| shown.at(capability, detail)).collect();
        context! { left_out => described.len() - shown.len(), shown => shown }
    }
}

/// The names of the two, and where in the conversation the text stands.
pub(crate) fn conversation(scene: &Scene, first: bool) -> Value {
    context! {
        asker => party::shown_name(scene.source.as_ref(), party::PERSON),
        answerer => party::shown_name(scene.target.as_ref(), party::SYSTEM),
        first => first,
    }
}

/// How the two stand to each other; none where only one is a module and the caller says nothing of it.
pub(crate) fn relationship(scene: &Scene) -> Value {
    let note = scene.overrides.relationship.as_deref();
    if note.is_none() && scene.relationships.is_empty() {
        return Value::from(());
    }
    let lines = scene.relationships.iter().map(|said| {
        // The caller's words stand in place of the authors'.
        let text = |text: &str| line(if note.is_some() { "" } else { text });
        context! { kind => line(&said.kind), source_says => text(&said.source_says), target_says => text(&said.target_says) }
    });
    context! { note => note.map(paragraph), lines => lines.collect::<Vec<_>>() }
}

fn no_capabilities() -> Value {
    context! { shown => Vec::<Value>::new(), left_out => 0 }
}

fn constraints(scene: &Scene) -> Value {
    let lines = |texts: &[String]| texts.iter().map(|text| line(text)).collect::<Vec<_>>();
    let of = |party: &Option<Party>| {
        party.as_ref().map_or_else(Vec::new, |party| lines(&party.descriptor.context.constraints))
    };
    let (conversation, source, target) =
        (lines(&scene.overrides.constraints), of(&scene.source), of(&scene.target));
    if conversation.is_empty() && source.is_empty() && target.is_empty() {
        return Value::from(());
    }
    context! { conversation => conversation, source => source, target => target }
}
