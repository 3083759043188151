//! Makes a namespace of records: reads the files, resolves what they refer to, inherits, compiles.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use claude_comms_descriptors::is_name;
use claude_comms_descriptors::template::{PromptRule, TemplateFile, syntax};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::namespace::{Compiled, Namespace, TemplateInfo, nearest};
use super::record::{Layer, TemplateProblemIn, TemplateRecord};
use super::{filters, print};

/// Most templates of one module.
const MODULE_TEMPLATES: usize = 32;
/// Most templates of a namespace.
const TEMPLATES: usize = 512;
/// Most levels of `extends`.
const EXTENDS_DEPTH: usize = 16;
/// minijinja's depth, in which a macro counts 4 and an include 10.
const RECURSION: usize = 50;

/// The template that a module may not replace: it makes the system prompt.
const CONTEXT: &str = "context";

struct Read {
    record: usize,
    layer: Layer,
    name: String,
    file: TemplateFile,
}

pub(super) fn compile(records: Vec<TemplateRecord>) -> Result<Namespace, Vec<TemplateProblemIn>> {
    let mut problems = Vec::new();
    let read = read(&records, &mut problems);
    let names = Names::new(&read);
    for template in read.values() {
        check_references(template, &read, &names, &mut problems);
    }
    let mut compiled = BTreeMap::new();
    let mut environment = environment(&names);
    for (full, template) in &read {
        match inherit(template, &read, &names) {
            Ok(info) => {
                compiled.insert(full.clone(), Compiled { info, body_line: template.file.body_line });
            }
            Err(message) => problems.push(problem(template, message)),
        }
        if let Err(error) = environment.add_template_owned(full.clone(), template.file.body.clone()) {
            problems.push(problem(template, error.to_string()));
        }
    }
    if problems.is_empty() {
        return Ok(Namespace { environment, records, compiled, winners: names.of_all });
    }
    Err(problems)
}

/// The full name that each bare name means.
#[derive(Clone, Default)]
struct Names {
    /// To callers, and in a module's templates.
    of_all: BTreeMap<String, String>,
    /// In the operator's templates and those built in: none of a module's, which would get into the system prompt, or
    /// take the place of a part that the operator wrote.
    of_operator: BTreeMap<String, String>,
}

impl Names {
    fn new(read: &BTreeMap<String, Read>) -> Self {
        let mut templates: Vec<&Read> = read.values().collect();
        templates.sort_by_key(|template| template.layer);
        let mut names = Self::default();
        for template in templates {
            let full = full_name(template.layer, &template.name);
            if template.layer != Layer::Module {
                names.of_operator.insert(template.name.clone(), full.clone());
            }
            names.of_all.insert(template.name.clone(), full);
        }
        names
    }

    /// What names mean in a template of that layer.
    fn within(&self, layer: Layer) -> &BTreeMap<String, String> {
        match layer {
            Layer::Module => &self.of_all,
            Layer::BuiltIn | Layer::Directory => &self.of_operator,
        }
    }
}

fn full_name(layer: Layer, name: &str) -> String {
    format!("{}/{name}", layer.prefix())
}

fn problem(template: &Read, message: String) -> TemplateProblemIn {
    TemplateProblemIn { name: template.name.clone(), layer: template.layer, line: None, message }
}

/// Reads every record; by full name.
fn read(records: &[TemplateRecord], problems: &mut Vec<TemplateProblemIn>) -> BTreeMap<String, Read> {
    let mut read = BTreeMap::new();
    let mut of_module = 0;
    for (record, TemplateRecord { layer, name, text }) in records.iter().enumerate() {
        let mut refuse = |line, message| {
            problems.push(TemplateProblemIn { name: name.clone(), layer: *layer, line, message });
        };
        of_module += usize::from(*layer == Layer::Module);
        if record >= TEMPLATES || of_module > MODULE_TEMPLATES {
            let message =
                format!("there are at most {MODULE_TEMPLATES} templates of a module and {TEMPLATES} in all");
            refuse(None, message);
            break;
        }
        if !is_name(name) {
            refuse(None, "a template's name is a-z followed by at most 62 of a-z, 0-9, _ and -".into());
            continue;
        }
        if *layer == Layer::Module && name == CONTEXT {
            refuse(None, "a module cannot replace `context`, which tells Claude of both modules".into());
            continue;
        }
        match TemplateFile::parse(text) {
            Err(error) => refuse(error.line, error.message),
            Ok(file) => {
                let template = Read { record, layer: *layer, name: name.clone(), file };
                if let Some(other) = read.insert(full_name(*layer, name), template) {
                    refuse(
                        None,
                        format!("there are two of this name, the {}th and the {record}th", other.record),
                    );
                }
            }
        }
    }
    read
}

fn check_references(
    template: &Read,
    read: &BTreeMap<String, Read>,
    names: &Names,
    problems: &mut Vec<TemplateProblemIn>,
) {
    let bare = names.within(template.layer);
    let reachable = |other: &Read| template.layer == Layer::Module || other.layer != Layer::Module;
    for name in template.file.extends.iter().chain(&template.file.includes) {
        if bare.contains_key(name) || read.get(name).is_some_and(reachable) {
            continue;
        }
        let full = read.iter().filter(|(_, other)| reachable(other)).map(|(full, _)| full);
        let hint = match nearest(name, bare.keys().chain(full).map(String::as_str)).first() {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        problems.push(problem(template, format!("there is no template `{name}` to extend or include{hint}")));
    }
}

/// A template's info, completed by the templates it extends.
fn inherit(template: &Read, read: &BTreeMap<String, Read>, names: &Names) -> Result<TemplateInfo, String> {
    let TemplateFile { version, description, parameters, .. } = &template.file;
    let (mut description, mut parameters) = (description.clone(), parameters.clone());
    let mut prompt = template.file.prompt;
    let mut passed = vec![full_name(template.layer, &template.name)];
    let mut child = template;
    while let Some(name) = &child.file.extends {
        let full = names.within(child.layer).get(name).unwrap_or(name);
        if passed.contains(full) {
            passed.push(full.clone());
            let mut message = format!("extends itself: {}", passed.join(" extends "));
            if full == &passed[0] && passed.len() == 2 {
                message.push_str("; the replaced one has a name with prefix, such as `builtin/");
                message.push_str(&template.name);
                message.push('`');
            }
            return Err(message);
        }
        if passed.len() > EXTENDS_DEPTH {
            return Err(format!("extends more than {EXTENDS_DEPTH} others, one after another"));
        }
        // An unknown one was reported where references are checked.
        let Some(parent) = read.get(full) else { break };
        passed.push(full.clone());
        for (name, parameter) in &parent.file.parameters {
            parameters.entry(name.clone()).or_insert_with(|| parameter.clone());
        }
        prompt = prompt.or(parent.file.prompt);
        if description.is_empty() {
            description.clone_from(&parent.file.description);
        }
        child = parent;
    }
    Ok(TemplateInfo {
        name: template.name.clone(),
        layer: template.layer,
        version: version.clone(),
        description,
        prompt: prompt.unwrap_or(PromptRule::Required),
        parameters,
    })
}

fn environment(names: &Names) -> Environment<'static> {
    let mut environment = syntax::environment();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_recursion_limit(RECURSION);
    // Not `None`, so that minijinja tells printed text from unprinted; the formatter alone decides how.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("prompt".into()));
    environment.set_formatter(print::print);
    for name in ["dict", "debug", "namespace"] {
        environment.remove_global(name);
    }
    filters::set(&mut environment);
    let names = Arc::new(names.clone());
    let of_module = format!("{}/", Layer::Module.prefix());
    environment.set_path_join_callback(move |name, within| {
        let layer = if within.starts_with(&of_module) { Layer::Module } else { Layer::BuiltIn };
        match names.within(layer).get(name) {
            Some(full) => Cow::Owned(full.clone()),
            None => Cow::Borrowed(name),
        }
    });
    environment
}
