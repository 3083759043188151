//! A message's parts: what a message template is given, and what can be cut of it. It must not know the budget.

use claude_comms_descriptors::descriptor::Capability;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde_json::Map;

use crate::ask::{Ask, PastTurn};
use crate::capabilities;
use crate::history::{self, Window};
use crate::party::{self, Lists};
use crate::report::{Omitted, TOKEN_BUDGET};
use crate::scene::Scene;
use crate::system;
use crate::tokens::estimate_tokens;
use crate::value::{json, json_or_none, said};

/// The parts of one message, and its cuts.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    scene: &'a Scene,
    ask: &'a Ask<'a>,
    capability: Option<&'a Capability>,
    history: Window<'a>,
    parameters: Map<String, serde_json::Value>,
    /// Every cut, in the order in which they are made.
    cuts: Vec<Cut>,
}

/// What can be cut of a message: the capability's example, then the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    Example,
    History(history::Cut),
}

impl<'a> Parts<'a> {
    /// The parts; the parameters are the template's, checked and with its defaults.
    pub(crate) fn new(
        scene: &'a Scene,
        ask: &'a Ask<'a>,
        capability: Option<&'a Capability>,
        parameters: Map<String, serde_json::Value>,
        history: Window<'a>,
    ) -> Self {
        let example = capability.filter(|capability| !capability.examples.is_empty()).map(|_| Cut::Example);
        let cuts = example.into_iter().chain(history.cuts().into_iter().map(Cut::History)).collect();
        Self { scene, ask, capability, history, parameters, cuts }
    }

    /// Bytes of what the turn brings along.
    pub(crate) fn bytes(&self) -> usize {
        let history =
            self.ask.history.iter().map(|turn| turn.prompt.len() + turn.answer.len()).sum::<usize>();
        let output = self.ask.output.map_or(0, |output| output.value().to_string().len());
        // Parameters are bounded where they are checked.
        self.ask.prompt.len() + history + output
    }

    /// Every cut, in the order in which they are made.
    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// How many cuts come before the history's.
    pub(crate) fn cuts_before_history(&self) -> usize {
        self.cuts.iter().filter(|cut| **cut == Cut::Example).count()
    }

    /// Takes the history's cuts away, for a template that shows no history.
    pub(crate) fn forget_history_cuts(&mut self) {
        self.cuts.retain(|cut| *cut == Cut::Example);
    }

    /// Turns that are too old to be looked at.
    pub(crate) fn never_shown(&self) -> Option<Omitted> {
        let turns = self.history.never_shown();
        let what = format!("turns 1 to {turns}");
        (turns > 0).then(|| Omitted {
            section: "history".to_owned(),
            what,
            why: TOKEN_BUDGET.to_owned(),
            tokens: 0,
        })
    }

    /// What the template is given after the first of the cuts.
    pub(crate) fn variables(&self, cuts: usize) -> Value {
        self.with(&self.cuts[..cuts], &self.history)
    }

    /// What it is given with that history and nothing cut.
    pub(crate) fn with_history(&self, history: &[PastTurn]) -> Value {
        self.with(&[], &Window::new(history))
    }

    fn with(&self, made: &[Cut], window: &Window<'_>) -> Value {
        let Scene { source, target, overrides, .. } = self.scene;
        let lists = Lists { capabilities: true, data_types: true };
        let instructions = overrides.instructions.as_deref();
        let history: Vec<_> = made
            .iter()
            .filter_map(|cut| if let Cut::History(cut) = cut { Some(*cut) } else { None })
            .collect();
        let parameters: Vec<_> =
            self.parameters.iter().map(|(name, value)| (name.as_str(), parameter(value))).collect();
        let own = context! {
            prompt => said(self.ask.prompt),
            conversation => system::conversation(self.scene, self.ask.first),
            source => party::value(source.as_ref(), overrides.source_role.as_deref(), None, lists),
            target => party::value(target.as_ref(), overrides.target_role.as_deref(), instructions, lists),
            relationship => system::relationship(self.scene),
            capability => self.capability(made.contains(&Cut::Example)),
            output => self.ask.output.map(|output| context! { schema => json(output.value()) }),
            history => window.value(&history),
            parameters => Value::from_pairs(parameters.clone()),
        };
        // Names of parameters are never those of the variables: the template files' check sees to it.
        context! { ..own, ..Value::from_pairs(parameters) }
    }

    fn capability(&self, without_example: bool) -> Value {
        let Some(capability) = self.capability else { return Value::from(()) };
        let example = if without_example { Value::from(()) } else { capabilities::first_example(capability) };
        let demanded =
            self.ask.output.is_some_and(|output| capability.output.as_ref() == Some(output.value()));
        let input = json_or_none(capability.input.as_ref());
        let output = json_or_none(capability.output.as_ref());
        let shown = capabilities::value(capability, input, output, example);
        context! { output_demanded => demanded, ..shown }
    }

    /// What the cuts take, for the report.
    pub(crate) fn omitted(&self, cuts: &[Cut]) -> Vec<Omitted> {
        let newest = cuts.iter().rposition(|cut| matches!(cut, Cut::History(history::Cut::Newest(_))));
        let told = cuts.iter().enumerate().filter(|(at, cut)| {
            // The newest turn's texts are cut once, however often they were cut shorter.
            !matches!(cut, Cut::History(history::Cut::Newest(_))) || Some(*at) == newest
        });
        told.map(|(_, cut)| self.one_omitted(cut)).collect()
    }

    fn one_omitted(&self, cut: &Cut) -> Omitted {
        let (section, what, tokens) = match cut {
            Cut::Example => {
                let capability = self.capability.expect("only a capability's example is cut");
                let example = capability.examples.first().expect("only an example that is there is cut");
                let values = [&example.input, &example.output].into_iter().flatten();
                let tokens = estimate_tokens(&example.description)
                    + values.map(|value| estimate_tokens(&value.to_string())).sum::<u32>();
                ("capability", format!("example of capability {}", capability.name), tokens)
            }
            Cut::History(history::Cut::Turn(number)) => {
                let (asked, answered) = self.history.text(*number);
                ("history", format!("turn {number}"), estimate_tokens(asked) + estimate_tokens(answered))
            }
            Cut::History(history::Cut::Newest(characters)) => {
                let (asked, answered) = self.history.text(self.history.newest());
                let left_out = [asked, answered].map(|text| {
                    let at = text.char_indices().nth(*characters).map_or(text.len(), |(at, _)| at);
                    estimate_tokens(&text[at..])
                });
                let what = format!("texts of turn {} beyond {characters} characters", self.history.newest());
                ("history", what, left_out.iter().sum())
            }
        };
        Omitted { section: section.to_owned(), what, why: TOKEN_BUDGET.to_owned(), tokens }
    }
}

/// A parameter as templates see it: a text was said by the asker, all else keeps its kind, so that it can be reckoned
/// and chosen by.
fn parameter(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::String(text) => said(text),
        other => Value::from(Serde(other.clone())),
    }
}
