//! Composing prompts of a scene: which template, which parameters, within which tokens. What the prompts say is in the
//! templates, what these are given in [`system`](crate::system) and [`message`](crate::message).

use std::sync::OnceLock;

use claude_comms_descriptors::descriptor::Capability;
use minijinja::Value;

use crate::ask::{Ask, Focus};
use crate::budget::{Unfit, Weighed, fit, fit_by_savings};
use crate::error::ComposeError;
use crate::history::Window;
use crate::message;
use crate::near::did_you_mean;
use crate::rendering::Engine;
use crate::report::{ASKED, Composed, Message, Omitted, Place, Report, SectionReport, measure};
use crate::scene::Scene;
use crate::system::{self, Cut, System};
use crate::templates::{Templates, escape};
use crate::tokens::estimate_tokens;

/// The part of the budget that a system prompt may take, in percent: the rest is for the messages.
pub const SYSTEM_PROMPT_PERCENT: u32 = 75;

/// A scene with its templates compiled. It is made once for many prompts, and can be shared by threads.
#[derive(Debug)]
pub struct Composer {
    scene: Scene,
    engine: Engine,
    parts: system::Parts,
    /// Tokens of the system prompt with nothing cut, which is the same for every question.
    whole_tokens: OnceLock<u32>,
}

/// A rendered text and what it holds.
#[derive(Debug, PartialEq, Eq)]
struct Rendered {
    text: String,
    sections: Vec<SectionReport>,
    tokens: u32,
}

impl Rendered {
    fn new(text: String, place: Place) -> Self {
        let (sections, tokens) = measure(&text, place);
        Self { text, sections, tokens }
    }
}

impl Weighed for Rendered {
    fn tokens(&self) -> u32 {
        self.tokens
    }
}

impl Composer {
    /// Compiles a scene.
    ///
    /// # Errors
    /// [`ComposeError::Fields`] when the overrides are not in order, [`ComposeError::Template`] when a template does
    /// not compile.
    pub fn new(scene: Scene) -> Result<Self, ComposeError> {
        let scene = scene.checked()?;
        let engine = Engine::new(scene.templates.clone(), scene.to_json().len())?;
        let parts = system::Parts::new(&scene);
        Ok(Self { scene, engine, parts, whole_tokens: OnceLock::new() })
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Its templates.
    pub fn templates(&self) -> &Templates {
        &self.engine.templates
    }

    /// The system prompt of a conversation that begins so; empty where there is neither source nor target. The same
    /// scene and focus give the same bytes.
    ///
    /// # Errors
    /// [`ComposeError::Fields`] when the capability is unknown, [`ComposeError::Template`] when the context template
    /// does not render, [`ComposeError::Budget`] when what is never left out does not fit.
    pub fn system_prompt(&self, focus: Focus<'_>) -> Result<Composed, ComposeError> {
        self.capability(focus.capability)?;
        let token_budget = self.scene.token_budget();
        if self.scene.source.is_none() && self.scene.target.is_none() {
            let report = Report { token_budget, ..Report::default() };
            return Ok(Composed { text: String::new(), report });
        }
        let system = System::new(&self.scene, &self.parts, focus);
        let available = percent(token_budget, SYSTEM_PROMPT_PERCENT);
        let (Rendered { text, sections, tokens }, cuts) =
            self.fitting_context(&system, available).map_err(|unfit| match unfit {
                Unfit::Failed(error) => error,
                Unfit::TooLarge(needed) => ComposeError::Budget {
                    place: "system prompt",
                    needed,
                    available,
                    token_budget,
                    sufficient: whole_of(needed, SYSTEM_PROMPT_PERCENT),
                },
            })?;
        let mut omitted = self.asked_to_leave_out(&system)?;
        let told = told(&system.cuts()[..cuts]).filter(|cut| !self.leaves_out(cut.section()));
        // A cut may find nothing to take: a schema without descriptions, or without depths.
        omitted.extend(told.map(|cut| system.omitted(cut)).filter(|omitted| omitted.tokens > 0));
        Ok(Composed { text, report: Report { sections, omitted, tokens, token_budget } })
    }

    /// The system prompt with as few cuts as will do, and their number.
    fn fitting_context(
        &self,
        system: &System<'_>,
        available: u32,
    ) -> Result<(Rendered, usize), Unfit<ComposeError>> {
        let left_out = &self.scene.overrides.omit_sections;
        let make = |cuts| {
            let text = self.engine.render_context(system.variables(cuts, left_out))?;
            Ok(Rendered::new(text, Place::System))
        };
        let whole_tokens = match self.whole_tokens.get() {
            Some(tokens) if *tokens > available => *tokens,
            _ => {
                let whole = make(0).map_err(Unfit::Failed)?;
                if whole.tokens <= available {
                    return Ok((whole, 0));
                }
                *self.whole_tokens.get_or_init(|| whole.tokens)
            }
        };
        let saving = |cut: &Cut| if self.leaves_out(cut.section()) { 0 } else { system.omitted(cut).tokens };
        let savings: Vec<_> = system.cuts().iter().map(saving).collect();
        fit_by_savings(whole_tokens, &savings, available, make)
    }

    /// The message of one turn. The same scene and turn give the same bytes.
    ///
    /// # Errors
    /// [`ComposeError::Fields`] when the template, a parameter, the prompt or the capability is not in order,
    /// [`ComposeError::Template`] when the template does not render, [`ComposeError::Budget`] when what is never left
    /// out does not fit.
    pub fn message(&self, ask: &Ask<'_>) -> Result<Message, ComposeError> {
        let name = ask.template.unwrap_or(if ask.first { "query" } else { "follow_up" });
        let mut problems = Vec::new();
        let capability = self.capability(ask.capability).unwrap_or_else(|error| {
            problems.extend(error.into_fields());
            None
        });
        let chosen = self.engine.choose(name, ask, &mut problems).filter(|_| problems.is_empty());
        let Some(chosen) = chosen else { return Err(ComposeError::Fields(problems)) };
        let history = if self.leaves_out("history") { &[] } else { ask.history };
        let window = Window::new(history);
        let mut parts = message::Parts::new(&self.scene, ask, capability, chosen.parameters, window);
        let bytes = parts.bytes();
        let render = |variables: Value| {
            Ok::<_, ComposeError>(Rendered::new(self.engine.render(name, variables, bytes)?, Place::Message))
        };
        let token_budget = self.scene.token_budget();
        // The budget bounds what is added to the asker's own words, not these.
        let own = estimate_tokens(&escape::prompt(ask.prompt))
            .saturating_add(ask.output.map_or(0, |output| estimate_tokens(output.text())));
        let available = token_budget.saturating_sub(ask.fixed_tokens).saturating_add(own);
        let whole = render(parts.variables(0))?;
        if whole.tokens > available {
            let (before, all) = (parts.cuts_before_history(), parts.cuts().len());
            if before < all && render(parts.variables(before))? == render(parts.variables(all))? {
                // Cutting what is not shown would be told as left out and make nothing shorter.
                parts.forget_history_cuts();
            }
        }
        let make = |cuts| render(parts.variables(cuts));
        let fitted = fit(whole, parts.cuts().len(), available, make);
        let (Rendered { text, sections, tokens }, cuts) = fitted.map_err(|unfit| match unfit {
            Unfit::Failed(error) => error,
            Unfit::TooLarge(needed) => ComposeError::Budget {
                place: "message",
                needed,
                available,
                token_budget,
                sufficient: needed.saturating_sub(own).saturating_add(ask.fixed_tokens),
            },
        })?;
        let mut omitted = Vec::new();
        if history.len() < ask.history.len() {
            let (with, without) = (render(parts.with_history(ask.history))?, render(parts.variables(0))?);
            let tokens = with.tokens.saturating_sub(without.tokens);
            omitted.extend((with != without).then(|| asked_out("history".to_owned(), tokens)));
        }
        if sections.iter().any(|section| section.name == "history") {
            omitted.extend(parts.never_shown());
        }
        omitted.extend(parts.omitted(&parts.cuts()[..cuts]));
        let report = Report { sections, omitted, tokens, token_budget };
        Ok(Message { text, template: format!("{}@{}", chosen.info.name, chosen.info.version), report })
    }

    /// The capability of that name, which must be the target's.
    fn capability(&self, name: Option<&str>) -> Result<Option<&Capability>, ComposeError> {
        let Some(name) = name else { return Ok(None) };
        let Some(target) = &self.scene.target else {
            let problem = format!("no module is asked, so none has a capability {name:?}");
            return Err(ComposeError::field("capability", problem));
        };
        let target = &target.descriptor;
        target.capability(name).map(Some).ok_or_else(|| {
            let near =
                did_you_mean(name, target.capabilities.iter().map(|capability| capability.name.as_str()));
            ComposeError::field("capability", format!("{} has no capability {name:?}{near}", target.name))
        })
    }

    fn leaves_out(&self, section: &str) -> bool {
        self.scene.overrides.omit_sections.iter().any(|name| name == section)
    }

    /// The sections of the system prompt that the caller wants left out, and that would be there.
    fn asked_to_leave_out(&self, system: &System<'_>) -> Result<Vec<Omitted>, ComposeError> {
        if self.scene.overrides.omit_sections.is_empty() {
            return Ok(Vec::new());
        }
        let whole = Rendered::new(self.engine.render_context(system.variables(0, &[]))?, Place::System);
        let asked = whole.sections.into_iter().filter(|section| self.leaves_out(&section.name));
        Ok(asked.map(|section| asked_out(section.name, section.tokens)).collect())
    }
}

/// The cuts worth telling: of one thing, the one that takes it whole.
fn told(cuts: &[Cut]) -> impl Iterator<Item = &Cut> {
    let whole = |part: &Cut| cuts.iter().rev().any(|cut| cut != part && cut.takes_all_of(part));
    cuts.iter().filter(move |cut| !whole(cut))
}

fn asked_out(section: String, tokens: u32) -> Omitted {
    Omitted { what: format!("section {section}"), section, why: ASKED.to_owned(), tokens }
}

fn percent(whole: u32, percent: u32) -> u32 {
    u32::try_from(u64::from(whole) * u64::from(percent) / 100).unwrap_or(u32::MAX)
}

/// The least number of which so many percent are that part.
fn whole_of(part: u32, percent: u32) -> u32 {
    u32::try_from((u64::from(part) * 100).div_ceil(u64::from(percent))).unwrap_or(u32::MAX)
}
