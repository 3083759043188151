//! The composer's use of its templates: their names, parameters and failures in the words of [`ComposeError`].

use claude_comms_descriptors::template::PromptRule;
use minijinja::Value;
use serde_json::Map;

use crate::ask::Ask;
use crate::error::ComposeError;
use crate::templates::{
    RenderError, RenderLimits, TemplateInfo, TemplateProblemIn, TemplateRecord, Templates, check_parameters,
};

/// The templates of a scene, with bounds that fit what they are given.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) templates: Templates,
    /// Bytes of the scene, which a template may print more than once.
    scene_bytes: usize,
    /// The template of system prompts. A module's own one of that name is never it.
    context: &'static str,
}

/// A template that a turn may use, and its checked parameters.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) info: &'a TemplateInfo,
    pub(crate) parameters: Map<String, serde_json::Value>,
}

impl Engine {
    pub(crate) fn new(records: Vec<TemplateRecord>, scene_bytes: usize) -> Result<Self, ComposeError> {
        let templates = Templates::new(records).map_err(|problems| not_compiled(&problems))?;
        let of_directories = templates.info("dirs/context").is_ok();
        let context = if of_directories { "dirs/context" } else { "builtin/context" };
        Ok(Self { templates, scene_bytes, context })
    }

    /// Renders the system prompt.
    pub(crate) fn render_context(&self, variables: Value) -> Result<String, ComposeError> {
        self.render(self.context, variables, 0)
    }

    /// Renders a template with variables that hold, beside the scene, so many bytes.
    pub(crate) fn render(&self, name: &str, variables: Value, bytes: usize) -> Result<String, ComposeError> {
        let bytes = self.scene_bytes.saturating_add(bytes);
        let least = RenderLimits::default();
        let limits = RenderLimits {
            fuel: least.fuel.saturating_add(bytes as u64 / 4),
            output_bytes: least.output_bytes.saturating_add(bytes.saturating_mul(4)),
        };
        Ok(self.templates.render(name, variables, limits)?)
    }

    /// The template of that name for that turn; what is wrong with it, its parameters or the prompt is added to the
    /// problems.
    pub(crate) fn choose(
        &self,
        name: &str,
        ask: &Ask<'_>,
        problems: &mut Vec<(String, String)>,
    ) -> Option<Chosen<'_>> {
        let info = match self.templates.info(name) {
            Ok(info) => info,
            Err(unknown) => {
                problems.push(("template".to_owned(), unknown.to_string()));
                return None;
            }
        };
        let empty = ask.prompt.trim().is_empty();
        match info.prompt {
            PromptRule::Required if empty => {
                problems.push(("prompt".to_owned(), format!("template `{name}` needs one")));
            }
            PromptRule::Unused if !empty => {
                problems.push(("prompt".to_owned(), format!("template `{name}` does not use one")));
            }
            _ => {}
        }
        let parameters = check_parameters(info, ask.parameters).unwrap_or_else(|found| {
            problems.extend(found.into_iter().map(|problem| {
                let dot = if problem.name.is_empty() { "" } else { "." };
                (format!("parameters{dot}{}", problem.name), problem.message)
            }));
            Map::new()
        });
        Some(Chosen { info, parameters })
    }
}

impl From<RenderError> for ComposeError {
    fn from(RenderError { template, line, message, .. }: RenderError) -> Self {
        Self::Template { name: template, line, message }
    }
}

fn not_compiled(problems: &[TemplateProblemIn]) -> ComposeError {
    let [first, others @ ..] = problems else {
        unreachable!("a namespace that does not compile has a problem");
    };
    let more =
        if others.is_empty() { String::new() } else { format!(" (and {} more problems)", others.len()) };
    ComposeError::Template {
        name: format!("{}/{}", first.layer.prefix(), first.name),
        line: first.line,
        message: format!("{}{more}", first.message),
    }
}
