//! Which rules of a scenario fire: by process, prompt, turn, and how often they
//! have. It keeps the count of what fired, in memory or in a marker file; it
//! does not play anything.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{On, Once, Order, Scenario, StartRule, TurnRule, When};

/// What is known of a turn when its rule is chosen.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) prompt: &'a str,
    /// 1 is the first of the conversation.
    pub(crate) turn_of_conversation: usize,
    /// 1 is the first of this process.
    pub(crate) turn_of_process: usize,
}

/// What a turn plays.
#[derive(Debug)]
pub(crate) enum Chosen<'s> {
    Rule(&'s TurnRule),
    Default,
    /// `order: in_sequence`, and the turn is not the one foreseen.
    Unexpected(String),
}

/// The rules of one process and what it remembers of them.
#[derive(Debug)]
pub(crate) struct Selection<'s> {
    scenario: &'s Scenario,
    resumed: bool,
    fired: HashSet<String>,
    config_dir: PathBuf,
    scenario_dir: PathBuf,
    name: String,
}

impl<'s> Selection<'s> {
    /// `file` is the scenario's, if it is from a file; `config_dir` is where [`Once::Instance`] is remembered.
    pub(crate) fn new(scenario: &'s Scenario, file: Option<&Path>, config_dir: &Path, resumed: bool) -> Self {
        let file = file.unwrap_or(Path::new("scenario.yaml"));
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let scenario_dir = file.parent().unwrap_or(Path::new("")).to_owned();
        Self {
            scenario,
            resumed,
            fired: HashSet::new(),
            config_dir: config_dir.to_owned(),
            scenario_dir,
            name,
        }
    }

    /// The start rules of this process; those with `once` are thereby used up.
    ///
    /// # Errors
    /// A marker file that cannot be written.
    pub(crate) fn start_rules(&mut self) -> io::Result<Vec<&'s StartRule>> {
        let mut rules = Vec::new();
        for (index, rule) in self.scenario.start.iter().enumerate() {
            if self.is_for_this_process(rule.on)
                && self.fire(&format!("start-{index}"), rule.once.as_ref())?
            {
                rules.push(rule);
            }
        }
        Ok(rules)
    }

    /// What the turn plays; a rule with `once` is thereby used up.
    ///
    /// # Errors
    /// A marker file that cannot be written.
    pub(crate) fn turn(&mut self, asked: &Asked<'_>) -> io::Result<Chosen<'s>> {
        let rules = &self.scenario.turns;
        if self.scenario.order == Order::InSequence {
            let Some(rule) = rules.get(asked.turn_of_process - 1) else { return Ok(Chosen::Default) };
            return Ok(match mismatch(&rule.when, asked) {
                None if self.is_for_this_process(rule.on) => Chosen::Rule(rule),
                None => Chosen::Default,
                Some(why) => Chosen::Unexpected(why),
            });
        }
        for (index, rule) in rules.iter().enumerate() {
            if self.is_for_this_process(rule.on)
                && mismatch(&rule.when, asked).is_none()
                && self.fire(&format!("turn-{index}"), rule.once.as_ref())?
            {
                return Ok(Chosen::Rule(rule));
            }
        }
        Ok(Chosen::Default)
    }

    fn is_for_this_process(&self, on: On) -> bool {
        match on {
            On::Any => true,
            On::FirstStart => !self.resumed,
            On::Resumed => self.resumed,
        }
    }

    /// Whether the rule may fire, noting that it does: before it plays, since it may kill the process.
    fn fire(&mut self, rule: &str, once: Option<&Once>) -> io::Result<bool> {
        match once {
            None => Ok(true),
            Some(Once::Process) => Ok(self.fired.insert(rule.to_owned())),
            Some(Once::Instance) => {
                mark(&self.config_dir.join("simulator-fired").join(format!("{}.{rule}", self.name)))
            }
            Some(Once::Marker(path)) => mark(&self.scenario_dir.join(path)),
        }
    }
}

/// Creates the marker; false if it was there.
fn mark(path: &Path) -> io::Result<bool> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::File::create_new(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Why the turn is not what the rule is for.
fn mismatch(when: &When, asked: &Asked<'_>) -> Option<String> {
    if let Some(part) = &when.contains
        && !asked.prompt.contains(part.as_str())
    {
        return Some(format!("a prompt that contains {part:?}"));
    }
    if let Some(whole) = &when.equals
        && asked.prompt != whole
    {
        return Some(format!("the prompt {whole:?}"));
    }
    match when.turn {
        Some(turn) if turn != asked.turn_of_conversation => Some(format!("turn {turn} of the conversation")),
        _ => None,
    }
}
