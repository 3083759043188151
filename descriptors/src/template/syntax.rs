//! What a template's body may say: minijinja, less what could make much of little or let text out unescaped. One
//! environment's grammar for all, so that a template that is accepted here compiles where it is rendered.
//!
//! minijinja's fuel pays for instructions, for bytes made and for items visited, but not for all that goes on inside a
//! value: comparing, printing or freeing a list costs as much as the list is large and deep. So templates cannot make
//! lists of lists of variables: what they handle is never larger than what they were given.

mod scan;
mod walk;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;

use super::file::TemplateProblem;

/// The filters that templates have.
pub const FILTERS: [&str; 33] = [
    "abs",
    "bool",
    "capitalize",
    "d",
    "default",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "string",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];

/// The tests that templates have (`is defined`).
pub const TESTS: [&str; 27] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

/// The functions that templates have, besides their own macros.
pub const FUNCTIONS: [&str; 1] = ["range"];

/// What a body refers to.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) extends: Option<String>,
    pub(super) includes: Vec<String>,
}

/// The grammar: `{{ }}`, `{% %}`, `{# #}`; a statement alone on its line leaves no line (`trim_blocks`,
/// `lstrip_blocks`); the last line end is dropped.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(grammar());
    environment
}

fn grammar() -> SyntaxConfig {
    let grammar = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    grammar.expect("minijinja's own marks are distinct")
}

/// Checks a body whose first line is the file's line `first`.
pub(super) fn check(body: &str, first: u32) -> Result<Body, TemplateProblem> {
    let at = |line: u32| line.saturating_add(first - 1);
    // What is read recursively stays shallow.
    if let Some(excess) = scan::excess(body) {
        return Err(TemplateProblem::new(at(excess.line), excess.message));
    }
    let failed = |error: minijinja::Error| {
        let line = error.line().and_then(|line| u32::try_from(line).ok());
        TemplateProblem::new(
            line.map(at),
            error.detail().unwrap_or("the template does not compile").to_owned(),
        )
    };
    let found = walk::body(body, grammar())
        .map_err(failed)?
        .map_err(|found| TemplateProblem::new(at(found.line), found.message))?;
    environment().template_from_str(body).map_err(failed)?;
    Ok(found)
}

/// `; did you mean "x"?`, or nothing.
pub(super) fn near(name: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("; did you mean `{known}`?"))
        .unwrap_or_default()
}
