//! The questions: read, checked, compiled. It knows no server and no model.

use std::path::Path;

use claude_comms_context::answer::OutputSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// One question, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    #[serde(default)]
    source: String,
    target: String,
    prompt: String,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    facts: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    right: String,
    wrong: String,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Question {
    /// Its name in the table.
    pub(crate) id: String,
    /// Module that asks; empty for a person.
    pub(crate) source: String,
    /// Module that is asked.
    pub(crate) target: String,
    /// The question.
    pub(crate) prompt: String,
    /// What the answer's data must fit.
    pub(crate) schema: Option<OutputSchema>,
    /// What must be found.
    pub(crate) facts: Vec<Pattern>,
    /// What must not be found.
    pub(crate) never: Vec<Pattern>,
    /// An answer that is right.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the suite, which grades it and plays it"))]
    pub(crate) right: String,
    /// An answer that is not.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the suite, which grades it and plays it"))]
    pub(crate) wrong: String,
}

/// A regular expression: any case, `.` takes line ends too. Compiled as the pattern of a schema, which is where this
/// workspace has its one engine.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As it was written.
    pub(crate) text: String,
    schema: OutputSchema,
}

impl Pattern {
    fn new(text: String) -> Result<Self, String> {
        let schema = OutputSchema::compile(&json!({"type": "string", "pattern": format!("(?is){text}")}))
            .map_err(|problem| format!("{text}: {problem}"))?;
        Ok(Self { text, schema })
    }

    /// Whether it is found in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.schema.findings(&Value::String(text.to_owned())).is_empty()
    }
}

/// Reads the questions of a file.
///
/// # Errors
/// What is wrong with which question, in words.
pub(crate) fn read(file: &Path) -> Result<Vec<Question>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let written: Vec<Written> =
        serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut questions: Vec<Question> = Vec::with_capacity(written.len());
    for one in written {
        let id = one.id.clone();
        let question = question(one).map_err(|problem| format!("question {id}: {problem}"))?;
        if questions.iter().any(|known| known.id == id) {
            return Err(format!("question {id}: there are two of this name"));
        }
        questions.push(question);
    }
    Ok(questions)
}

fn question(written: Written) -> Result<Question, String> {
    let Written { id, source, target, prompt, schema, facts, never, right, wrong } = written;
    if facts.is_empty() {
        return Err("no facts: whatever is answered would be right".to_owned());
    }
    let patterns = |texts: Vec<String>| texts.into_iter().map(Pattern::new).collect::<Result<Vec<_>, _>>();
    Ok(Question {
        schema: schema
            .as_ref()
            .map(OutputSchema::compile)
            .transpose()
            .map_err(|problem| problem.to_string())?,
        facts: patterns(facts)?,
        never: patterns(never)?,
        id,
        source,
        target,
        prompt,
        right,
        wrong,
    })
}
