//! `validate-module`: checks descriptors as a server would, without one.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use claude_comms_descriptors::{
    Descriptor, Parsed, Problem, TemplateFiles, limits,
    load::{Known, scan},
    parse_bytes,
};
use serde::Serialize;

use crate::{
    args::{Format, ValidateModule},
    exit::{Exit, Failure},
    output::{Ui, printable},
};

/// What was found in one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    ok: bool,
    /// The module's name; absent when the file has problems, as is the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    problems: Vec<Found>,
    warnings: Vec<Found>,
}

/// A problem or a warning.
#[derive(Debug, Serialize)]
struct Found {
    path: String,
    line: Option<u32>,
    column: Option<u32>,
    message: String,
    #[serde(skip)]
    located: String,
}

/// Checks each file and prints a line a problem.
pub(super) fn run(ui: &Ui, validate: &ValidateModule) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for named in &validate.files {
        let found =
            if !is_stdin(named) && named.is_dir() { in_directory(named) } else { vec![in_file(named)] };
        if found.is_empty() {
            ui.warning(&format!("{} holds no module descriptor", named.display()));
        }
        if ui.format == Format::Table {
            ui.write(&found.iter().map(|checked| lines(checked, ui.quiet)).collect::<String>())?;
        }
        all.extend(found);
    }
    if ui.format != Format::Table {
        ui.serialized(&all)?;
    }
    Ok(if all.iter().all(|checked| checked.ok) { Exit::Done } else { Exit::Failed })
}

/// The descriptor in a file, its templates inlined, or what is wrong with it. Templates lie beside it or below.
pub(super) fn read(file: &Path) -> Result<Parsed, Vec<Problem>> {
    // A byte more than may be: what is longer need not be read to say so.
    let most = limits::TEXT_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if is_stdin(file) {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes))
    };
    if let Err(error) = read {
        return Err(vec![Problem::of_text(format!("cannot be read: {error}"))]);
    }
    let directory = match file.parent() {
        Some(parent) if !is_stdin(file) && parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    parse_bytes(&bytes, TemplateFiles::Below(&directory))
}

/// What is wrong with a file, a line a problem, as `validate-module` prints it.
pub(super) fn problem_lines(file: &Path, problems: &[Problem]) -> Vec<String> {
    let file = file.display().to_string();
    problems.iter().map(|problem| Found::of(problem, &file).located).collect()
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn in_file(file: &Path) -> Checked {
    let shown = file.display().to_string();
    match read(file) {
        Ok(parsed) => Checked::good(shown, &parsed.descriptor, &parsed.warnings),
        Err(problems) => Checked::broken(shown, &problems),
    }
}

/// Every descriptor of a directory, as the server would find them there: other files are passed over.
fn in_directory(directory: &Path) -> Vec<Checked> {
    let scan = scan(&[directory.to_owned()], &Known::default());
    let shown = |file: PathBuf| file.display().to_string();
    let good = scan
        .modules
        .into_iter()
        .map(|module| Checked::good(shown(module.file), &module.descriptor, &module.warnings));
    let mut all: Vec<_> = good.collect();
    all.extend(scan.broken.into_iter().map(|broken| Checked::broken(shown(broken.file), &broken.problems)));
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

impl Checked {
    fn good(file: String, descriptor: &Descriptor, warnings: &[Problem]) -> Self {
        let warnings = warnings.iter().map(|warning| Found::of(warning, &file)).collect();
        let (name, version) = (Some(descriptor.name.clone()), Some(descriptor.version.clone()));
        Self { file, ok: true, name, version, problems: Vec::new(), warnings }
    }

    fn broken(file: String, problems: &[Problem]) -> Self {
        let problems = problems.iter().map(|problem| Found::of(problem, &file)).collect();
        Self { file, ok: false, name: None, version: None, problems, warnings: Vec::new() }
    }
}

impl Found {
    fn of(problem: &Problem, file: &str) -> Self {
        // A problem is a line, whatever is in the file.
        let located = printable(&problem.located(file).replace('\n', " "));
        let Problem { path, line, column, message } = problem.clone();
        Self { path, line, column, message, located }
    }
}

fn lines(checked: &Checked, quiet: bool) -> String {
    let problems = checked.problems.iter().map(|problem| format!("{}\n", problem.located));
    let warnings = checked.warnings.iter().map(|warning| format!("warning: {}\n", warning.located));
    let ok = (checked.ok && !quiet).then(|| format!("{}: ok\n", checked.file));
    problems.chain(warnings).chain(ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "schema: claude-comms/module/v1\nname: shelf\nversion: 1.0.0\n\
        description: Keeps books and lends them to whoever asks.\n";

    #[test]
    fn a_problem_has_a_line_that_editors_understand() {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = directory.path().join("shelf.yaml");
        std::fs::write(&file, format!("{GOOD}colour: red\n")).expect("write");
        let checked = in_file(&file);
        assert!(!checked.ok);
        let text = lines(&checked, false);
        let wanted = format!("{}:5:1: colour: ", file.display());
        assert!(text.starts_with(&wanted) && text.lines().count() == 1, "{text}");

        std::fs::write(&file, GOOD).expect("write");
        let checked = in_file(&file);
        assert_eq!(checked.name.as_deref(), Some("shelf"), "{:?}", checked.problems);
        assert!(lines(&checked, false).ends_with(&format!("{}: ok\n", file.display())));
        assert!(!lines(&checked, true).contains(": ok"));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem_of_its_own() {
        let checked = in_file(Path::new("/nonexistent/shelf.yaml"));
        assert_eq!(
            lines(&checked, true),
            "/nonexistent/shelf.yaml: cannot be read: No such file or directory (os error 2)\n"
        );
    }

    #[test]
    fn a_directory_is_walked_as_the_server_walks_it() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("b")).expect("directory");
        std::fs::write(path("b/shelf.yaml"), GOOD).expect("write");
        std::fs::write(path("a.yaml"), "schema: claude-comms/module/v1\nname: 7\n").expect("write");
        std::fs::write(path("other.yaml"), "replicas: 3\n").expect("write");
        let found = in_directory(directory.path());
        let files: Vec<_> = found.iter().map(|checked| (checked.file.clone(), checked.ok)).collect();
        let shown = |name: &str| path(name).display().to_string();
        assert_eq!(files, [(shown("a.yaml"), false), (shown("b/shelf.yaml"), true)]);
    }
}
