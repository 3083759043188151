//! A namespace: which template a name means, what it takes, and all of it compiled.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use claude_comms_descriptors::template::{Parameter, PromptRule};
use minijinja::Environment;

use super::compile;
use super::record::{Layer, TemplateProblemIn, TemplateRecord};

/// Virtual; what is not used costs nothing.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// What is told of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateInfo {
    /// Its name, without prefix.
    pub name: String,
    /// Where it comes from.
    pub layer: Layer,
    /// Its version.
    pub version: String,
    /// What it is for; taken from the template it extends if its own file does not say.
    pub description: String,
    /// What it wants of the prompt.
    pub prompt: PromptRule,
    /// Its parameters by name, with those of the templates it extends.
    pub parameters: BTreeMap<String, Parameter>,
}

/// There is no template of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no template `{name}`{}", did_you_mean(near))]
pub struct UnknownTemplate {
    /// The name that was asked for.
    pub name: String,
    /// Names like it, the most alike first.
    pub near: Vec<String>,
}

/// A namespace of templates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Templates(pub(super) Arc<Namespace>);

/// What a [`Templates`] shares.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) environment: Environment<'static>,
    pub(super) records: Vec<TemplateRecord>,
    /// By full name, `builtin/query`.
    pub(super) compiled: BTreeMap<String, Compiled>,
    /// The full name that each bare name means.
    pub(super) winners: BTreeMap<String, String>,
}

/// One template of a namespace.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) info: TemplateInfo,
    pub(super) body_line: u32,
}

impl Templates {
    /// Compiles a namespace.
    ///
    /// # Errors
    ///
    /// Every problem: files that are none, names that cannot be or are there twice, unknown parents and includes,
    /// circles.
    pub fn new(records: Vec<TemplateRecord>) -> Result<Self, Vec<TemplateProblemIn>> {
        // minijinja reads and compiles recursively. What it is given is bounded so that any thread will do; this is for
        // a bound that was forgotten, which would end the process.
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("templates".to_owned()).stack_size(STACK_BYTES);
            match thread.spawn_scoped(scope, || compile::compile(records)) {
                Ok(running) => running.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(error) => Err(vec![TemplateProblemIn {
                    name: "query".to_owned(),
                    layer: Layer::BuiltIn,
                    line: None,
                    message: format!("no thread to compile templates with ({error}); try again"),
                }]),
            }
        })
        .map(|namespace| Self(Arc::new(namespace)))
    }

    /// What it was made of, in the order it was given.
    pub fn records(&self) -> &[TemplateRecord] {
        &self.0.records
    }

    /// What each bare name means, sorted by name.
    pub fn names(&self) -> Vec<TemplateInfo> {
        let winners = self.0.winners.values().filter_map(|full| self.0.compiled.get(full));
        winners.map(|compiled| compiled.info.clone()).collect()
    }

    /// What is told of a template, by bare name or by one with prefix.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn info(&self, name: &str) -> Result<&TemplateInfo, UnknownTemplate> {
        self.find(name).map(|(_, compiled)| &compiled.info)
    }

    /// The full name and the template that a name means.
    pub(super) fn find(&self, name: &str) -> Result<(&str, &Compiled), UnknownTemplate> {
        let full = self.0.winners.get(name).map_or(name, String::as_str);
        self.0.compiled.get_key_value(full).map(|(full, compiled)| (full.as_str(), compiled)).ok_or_else(
            || {
                let known = self.0.winners.keys().chain(self.0.compiled.keys());
                UnknownTemplate { name: name.to_owned(), near: nearest(name, known.map(String::as_str)) }
            },
        )
    }
}

/// The known names like a name, the most alike first, at most three.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut near: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
}

fn did_you_mean(near: &[String]) -> String {
    near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
