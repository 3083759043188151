//! What commands read beside their words: standard input and the files that options name.

use std::{collections::BTreeSet, fs, io::Read as _, path::Path};

use claude_comms_client::text_parameters;
use prost_types::Struct;

use crate::{
    args::{Command, Parameter, Shape},
    exit::{Exit, Failure},
    output::{Ui, printable},
};

/// What is read at once at most: more than any server takes, less than would hurt this machine.
const LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Puts standard input in the place of a prompt of `-`.
pub(super) fn with_prompt(mut command: Command) -> Result<Command, Failure> {
    let prompt = match &mut command {
        Command::QueryInstance { prompt, .. } => Some(&mut prompt.text),
        Command::ContinueConversation { question, .. } => question.text.as_mut(),
        Command::QueryModule(query) => query.question.text.as_mut(),
        Command::PreviewContext(preview) => preview.text.as_mut(),
        _ => None,
    };
    if let Some(text) = prompt
        && text == "-"
    {
        *text = stdin("the prompt on standard input")?;
    }
    Ok(command)
}

/// All of standard input.
fn stdin(what: &str) -> Result<String, Failure> {
    read(&mut std::io::stdin().lock(), what)
}

/// All of a file that an option names.
fn file(path: &Path, what: &str) -> Result<String, Failure> {
    let what = format!("{what} {}", path.display());
    match fs::File::open(path) {
        Ok(mut file) => read(&mut file, &what),
        Err(error) => Err(Failure::new(Exit::Usage, format!("read {what}: {error}"))),
    }
}

fn read(from: &mut dyn std::io::Read, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    match from.take(LIMIT_BYTES + 1).read_to_string(&mut text) {
        Ok(bytes) if bytes as u64 > LIMIT_BYTES => {
            Err(Failure::new(Exit::Usage, format!("{what} is longer than 64 MiB")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Failure::new(Exit::Usage, format!("{what} is not UTF-8")))
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("read {what}: {error}"))),
    }
}

/// A shape with its files read, as requests want it.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    /// JSON text of the schema; empty for none.
    pub(super) output_schema: String,
    /// The template; empty for none.
    pub(super) template: String,
    /// Its parameters.
    pub(super) parameters: Option<Struct>,
}

/// Reads the files of a shape.
pub(super) fn shaped(shape: Shape) -> Result<Shaped, Failure> {
    let output_schema = match &shape.schema {
        Some(path) => schema(path)?,
        None => String::new(),
    };
    Ok(Shaped {
        output_schema,
        template: shape.template.unwrap_or_default(),
        parameters: parameters(shape.parameters)?,
    })
}

/// Says which words of a schema check nothing. That is no error: schemas may hold words of others.
pub(super) fn warn_of_schema(ui: &Ui, schema: &str) {
    let Ok(schema) = serde_json::from_str(schema) else { return };
    for word in claude_comms_descriptors::no_keywords(&schema) {
        ui.note(&format!("warning: the schema's {}: {}", printable(&word.pointer), printable(&word.message)));
    }
}

/// The text of a schema that is JSON; whether it is a good schema is the server's to say.
fn schema(path: &Path) -> Result<String, Failure> {
    let text = file(path, "the schema")?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(Failure::new(Exit::Usage, format!("the schema {} is not JSON: {error}", path.display())))
        }
    }
}

fn parameters(typed: Vec<(String, Parameter)>) -> Result<Option<Struct>, Failure> {
    let mut names = BTreeSet::new();
    if let Some((twice, _)) = typed.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(Failure::new(Exit::Usage, format!("--param {} is given twice", printable(twice))));
    }
    let mut texts = Vec::new();
    for (name, value) in typed {
        let text = match value {
            Parameter::Text(text) => text,
            Parameter::File(path) => file(&path, &format!("the parameter {name} from"))?,
        };
        texts.push((name, text));
    }
    Ok((!texts.is_empty()).then(|| text_parameters(texts)))
}

#[cfg(test)]
mod tests {
    use prost_types::value::Kind;

    use super::*;

    fn shape(schema: Option<&Path>, parameters: &[(&str, Parameter)]) -> Shape {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Shape { schema: schema.map(Into::into), template: None, parameters }
    }

    #[test]
    fn parameters_go_as_text_and_files_as_what_they_hold() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("rows.json");
        fs::write(&path, "[1, 2]\n").expect("write");
        let typed = [("depth", Parameter::Text("2".into())), ("rows", Parameter::File(path))];
        let sent = shaped(shape(None, &typed)).expect("read").parameters.expect("parameters");
        let text = |name: &str| sent.fields[name].kind.clone();
        assert_eq!(text("depth"), Some(Kind::StringValue("2".into())));
        assert_eq!(text("rows"), Some(Kind::StringValue("[1, 2]\n".into())));
        assert!(shaped(shape(None, &[])).expect("none").parameters.is_none());
    }

    #[test]
    fn what_cannot_be_sent_is_usage_and_says_which() {
        let twice = [("a", Parameter::Text("1".into())), ("a", Parameter::Text("1".into()))];
        let failure = shaped(shape(None, &twice)).expect_err("twice");
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Usage, "--param a is given twice"));

        let missing = [("a", Parameter::File("/nonexistent/rows".into()))];
        let failure = shaped(shape(None, &missing)).expect_err("missing");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure.message.contains("the parameter a from /nonexistent/rows: No such"),
            "{}",
            failure.message
        );

        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("schema.json");
        fs::write(&path, "{\n  \"type\": objct\n}").expect("write");
        let failure = shaped(shape(Some(&path), &[])).expect_err("no JSON");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure.message.contains("schema.json is not JSON: expected value at line 2"),
            "{}",
            failure.message
        );
    }
}
