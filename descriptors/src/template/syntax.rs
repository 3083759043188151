//! What a template's body may say: minijinja, less what could make much of little or let text out unescaped. One
//! environment's grammar for all, so that a template that is accepted here compiles where it is rendered.

use std::collections::BTreeSet;

use minijinja::Environment;

use super::file::TemplateProblem;
mod scan;

use scan::{Tag, Token};

/// The filters that templates have.
pub const FILTERS: [&str; 30] = [
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

/// The statements that templates have.
const STATEMENTS: [&str; 23] = [
    "block",
    "call",
    "elif",
    "else",
    "endblock",
    "endcall",
    "endfilter",
    "endfor",
    "endif",
    "endmacro",
    "endraw",
    "endset",
    "endwith",
    "extends",
    "filter",
    "for",
    "if",
    "include",
    "macro",
    "raw",
    "set",
    "with",
    "do",
];

/// Most brackets, braces and filters in a body. Each can nest a value once more, and freeing a value nested many
/// thousands deep needs that much stack.
const MAX_NESTING: usize = 2_000;

/// What a body refers to.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) extends: Option<String>,
    pub(super) includes: Vec<String>,
}

/// The grammar: `{{ }}`, `{% %}`, `{# #}`; a statement alone on its line leaves no line (trim_blocks, lstrip_blocks).
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(
        minijinja::syntax::SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the default marks are distinct"),
    );
    environment
}

/// Checks a body whose first line is the file's line `first`.
pub(super) fn check(body: &str, first: u32) -> Result<Body, TemplateProblem> {
    environment().template_from_str(body).map_err(|error| {
        let line = error.line().and_then(|line| u32::try_from(line).ok()).map(|line| line + first - 1);
        TemplateProblem::new(line, error.detail().unwrap_or("the template does not compile").to_owned())
    })?;
    let mut found = Body::default();
    let mut includes = BTreeSet::new();
    let mut nesting = 0;
    for tag in scan::tags(body) {
        let line = first + tag.line - 1;
        let problem = |message: String| TemplateProblem::new(line, message);
        nesting +=
            tag.tokens.iter().filter(|token| matches!(token, Token::Mark('[' | '{' | '(' | '|'))).count();
        if nesting > MAX_NESTING {
            return Err(problem(format!(
                "a template has at most {MAX_NESTING} brackets, braces and filters"
            )));
        }
        if tag.statement {
            match statement(&tag).map_err(problem)? {
                Reference::None => {}
                Reference::Extends(name) => {
                    if found.extends.replace(name).is_some() {
                        return Err(problem("a template extends one other, not two".into()));
                    }
                }
                Reference::Include(name) => {
                    includes.insert(name);
                }
            }
        }
        expression(&tag).map_err(problem)?;
    }
    found.includes = includes.into_iter().collect();
    Ok(found)
}

enum Reference {
    None,
    Extends(String),
    Include(String),
}

fn statement(tag: &Tag<'_>) -> Result<Reference, String> {
    let Some(Token::Word(word)) = tag.tokens.first() else { return Ok(Reference::None) };
    match (*word, tag.tokens.get(1), tag.tokens.len()) {
        ("extends", Some(Token::Text(name)), 2) => Ok(Reference::Extends(name.clone())),
        ("include", Some(Token::Text(name)), 2) => Ok(Reference::Include(name.clone())),
        ("extends" | "include", ..) => {
            Err(format!("{word} takes one name in quotes, such as {{% {word} \"builtin/query\" %}}"))
        }
        ("filter", Some(Token::Word(name)), _) if !FILTERS.contains(name) => Err(unknown_filter(name)),
        _ if STATEMENTS.contains(word) => Ok(Reference::None),
        _ => Err(format!("templates have no statement `{word}`{}", near(word, &STATEMENTS))),
    }
}

fn expression(tag: &Tag<'_>) -> Result<(), String> {
    let mut before: Option<&Token<'_>> = None;
    let mut tokens = tag.tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Mark('~') => {
                return Err(
                    "templates have no operator `~`; write the parts one after another, or join a list"
                        .into(),
                );
            }
            Token::Mark('|') => match tokens.peek() {
                Some(Token::Word(name)) if !FILTERS.contains(name) => return Err(unknown_filter(name)),
                _ => {}
            },
            Token::Word("is") if !matches!(before, Some(Token::Mark('.'))) => {
                if matches!(tokens.peek(), Some(Token::Word("not"))) {
                    tokens.next();
                }
                match tokens.peek() {
                    Some(Token::Word(name)) if !TESTS.contains(name) => {
                        return Err(format!("templates have no test `{name}`{}", near(name, &TESTS)));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        before = Some(token);
    }
    Ok(())
}

fn unknown_filter(name: &str) -> String {
    let hint = near(name, &FILTERS);
    if matches!(name, "safe" | "escape" | "e") {
        return format!("templates have no filter `{name}`: every value is escaped when it is printed");
    }
    if hint.is_empty() {
        return format!("templates have no filter `{name}`; there are {}", FILTERS.join(", "));
    }
    format!("templates have no filter `{name}`{hint}")
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
