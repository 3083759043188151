//! Walks a body's syntax tree and refuses what templates may not say. The one file that uses minijinja's
//! `unstable_machinery`: with another version of minijinja, this is what may need a change.

use std::collections::BTreeSet;

use minijinja::Error;
use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;

use super::{Body, FILTERS, TESTS, near};

/// Filters whose result is a number.
const NUMBERS: [&str; 5] = ["abs", "float", "int", "length", "round"];
/// Filters whose result is text; the ones that `map` may apply.
const TEXTS: [&str; 10] =
    ["capitalize", "indent", "join", "lower", "replace", "string", "title", "tojson", "trim", "upper"];

/// What is wrong, and on which of the body's lines.
pub(super) struct Found {
    pub(super) line: u32,
    pub(super) message: String,
}

type Checked = Result<(), Found>;

/// Walks a body; the outer error is minijinja's.
pub(super) fn body(source: &str, grammar: SyntaxConfig) -> Result<Result<Body, Found>, Error> {
    let tree = parse(source, "", grammar)?;
    let mut walk = Walk::default();
    Ok(walk
        .statement(&tree)
        .map(|()| Body { extends: walk.extends, includes: walk.includes.into_iter().collect() }))
}

#[derive(Default)]
struct Walk {
    extends: Option<String>,
    includes: BTreeSet<String>,
}

fn found(line: u16, message: impl Into<String>) -> Checked {
    Err(Found { line: u32::from(line), message: message.into() })
}

impl Walk {
    fn statements(&mut self, statements: &[Stmt<'_>]) -> Checked {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'_>) -> Checked {
        match statement {
            Stmt::Template(of) => self.statements(&of.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(of) => expression(&of.expr),
            Stmt::ForLoop(of) => {
                used_up(&of.iter)?;
                of.filter_expr.as_ref().map_or(Ok(()), expression)?;
                self.statements(&of.body)?;
                self.statements(&of.else_body)
            }
            Stmt::IfCond(of) => {
                expression(&of.expr)?;
                self.statements(&of.true_body)?;
                self.statements(&of.false_body)
            }
            Stmt::WithBlock(of) => {
                of.assignments.iter().try_for_each(|(_, value)| expression(value))?;
                self.statements(&of.body)
            }
            Stmt::Set(of) => expression(&of.expr),
            Stmt::SetBlock(of) => {
                of.filter.as_ref().map_or(Ok(()), expression)?;
                self.statements(&of.body)
            }
            Stmt::FilterBlock(of) => {
                expression(&of.filter)?;
                self.statements(&of.body)
            }
            Stmt::Block(of) => self.statements(&of.body),
            Stmt::Macro(of) => {
                of.defaults.iter().try_for_each(expression)?;
                self.statements(&of.body)
            }
            Stmt::CallBlock(of) => {
                call(&of.call)?;
                of.macro_decl.defaults.iter().try_for_each(expression)?;
                self.statements(&of.macro_decl.body)
            }
            Stmt::Do(of) => call(&of.call),
            Stmt::Extends(of) => {
                let name = literal(&of.name, "extends")?;
                match self.extends.replace(name) {
                    None => Ok(()),
                    Some(_) => found(of.span().start_line, "a template extends one other, not two"),
                }
            }
            Stmt::Include(of) => {
                self.includes.insert(literal(&of.name, "include")?);
                Ok(())
            }
            Stmt::AutoEscape(of) => found(
                of.span().start_line,
                "templates have no statement `autoescape`: every value is escaped",
            ),
            Stmt::Import(of) => found(of.span().start_line, NO_IMPORT),
            Stmt::FromImport(of) => found(of.span().start_line, NO_IMPORT),
        }
    }
}

const NO_IMPORT: &str = "templates have no statement `import`; use extends and blocks, or include";

fn literal(name: &Expr<'_>, statement: &str) -> Result<String, Found> {
    if let Expr::Const(of) = name
        && let Some(name) = of.value.as_str()
    {
        return Ok(name.to_owned());
    }
    let message =
        format!("{statement} takes one name in quotes, such as {{% {statement} \"builtin/query\" %}}");
    Err(Found { line: u32::from(name.span().start_line), message })
}

fn expression(of: &Expr<'_>) -> Checked {
    let line = of.span().start_line;
    match of {
        Expr::Const(_) => Ok(()),
        Expr::Var(of) if matches!(of.id, "varargs" | "kwargs") => {
            found(line, format!("macros have no `{}`; name their parameters", of.id))
        }
        Expr::Var(_) => Ok(()),
        Expr::Slice(of) if !text(&of.expr) => found(
            line,
            "a part of a list is for a loop or a filter, such as `for a in list[:9]` or `list[:9]|list`; of text, \
             such as `(text|string)[:9]`",
        ),
        Expr::Slice(_) => used_up(of),
        Expr::UnaryOp(of) => expression(&of.expr),
        Expr::BinOp(of) => {
            expression(&of.left)?;
            expression(&of.right)?;
            let text = text(&of.left) || text(&of.right);
            match of.op {
                BinOpKind::Add if !(text || number(&of.left) || number(&of.right)) => found(
                    line,
                    "`+` needs a side that is plainly a number or text, such as `a|int + b` or `a|string + b`",
                ),
                BinOpKind::Mul if !(text || (number(&of.left) && number(&of.right))) => {
                    found(line, "`*` needs sides that are plainly numbers, such as `a|int * 2`")
                }
                _ => Ok(()),
            }
        }
        Expr::Compare(of) => {
            expression(&of.expr)?;
            of.ops.iter().try_for_each(|op| expression(&op.expr))
        }
        Expr::IfExpr(of) => {
            expression(&of.test_expr)?;
            expression(&of.true_expr)?;
            of.false_expr.as_ref().map_or(Ok(()), expression)
        }
        Expr::Filter(of) => {
            let passes_on = matches!(of.name, "d" | "default");
            of.expr.as_ref().map_or(Ok(()), if passes_on { expression } else { used_up })?;
            filter(of.name, &of.args, line)
        }
        Expr::Test(of) => {
            expression(&of.expr)?;
            if !TESTS.contains(&of.name) {
                return found(line, format!("templates have no test `{}`{}", of.name, near(of.name, &TESTS)));
            }
            fixed_arguments(&of.args, line)
        }
        Expr::GetAttr(of) => expression(&of.expr),
        Expr::GetItem(of) => {
            expression(&of.expr)?;
            expression(&of.subscript_expr)
        }
        Expr::Call(of) => call(of),
        Expr::List(of) => elements(&of.items),
        Expr::Tuple(of) => elements(&of.items),
        Expr::Map(of) => {
            elements(&of.keys)?;
            elements(&of.values)
        }
    }
}

/// An expression of which nothing is kept. minijinja's slices of lists only point at the list, so that thousands of
/// them one over another would take as much stack.
fn used_up(of: &Expr<'_>) -> Checked {
    let Expr::Slice(of) = of else { return expression(of) };
    expression(&of.expr)?;
    [&of.start, &of.stop, &of.step].into_iter().flatten().try_for_each(expression)
}

fn call(of: &Call<'_>) -> Checked {
    match of.identify_call() {
        CallType::Function(_) | CallType::Block(_) => {}
        CallType::Method(on, _) | CallType::Object(on) => expression(on)?,
    }
    arguments(&of.args)
}

fn arguments(args: &[CallArg<'_>]) -> Checked {
    args.iter().try_for_each(|argument| match argument {
        CallArg::Pos(of) | CallArg::Kwarg(_, of) | CallArg::PosSplat(of) | CallArg::KwargSplat(of) => {
            expression(of)
        }
    })
}

fn fixed_arguments(args: &[CallArg<'_>], line: u16) -> Checked {
    if args.iter().any(|argument| matches!(argument, CallArg::PosSplat(_) | CallArg::KwargSplat(_))) {
        return found(line, "filters and tests take their arguments one by one, not as `*list` or `**map`");
    }
    arguments(args)
}

fn filter(name: &str, args: &[CallArg<'_>], line: u16) -> Checked {
    if matches!(name, "safe" | "escape" | "e") {
        let message = format!("templates have no filter `{name}`: every value is escaped when it is printed");
        return found(line, message);
    }
    if !FILTERS.contains(&name) {
        let hint = match near(name, &FILTERS) {
            hint if hint.is_empty() => format!("; there are {}", FILTERS.join(", ")),
            hint => hint,
        };
        return found(line, format!("templates have no filter `{name}`{hint}"));
    }
    fixed_arguments(args, line)?;
    if name != "map" {
        return Ok(());
    }
    // `[0, 0]|map("default", list)` would be a list of lists again.
    let fits = match args.first() {
        Some(CallArg::Pos(Expr::Const(of))) => of.value.as_str().is_some_and(|name| TEXTS.contains(&name)),
        Some(CallArg::Kwarg("attribute", _)) => args.len() == 1,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    found(line, format!("`map` takes `attribute=\"name\"`, or one of these filters: {}", TEXTS.join(", ")))
}

/// What a list, tuple or map is written of: nothing that could be a list or map itself, unless written out.
fn elements(items: &[Expr<'_>]) -> Checked {
    items.iter().try_for_each(|item| {
        expression(item)?;
        match item {
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => Ok(()),
            _ if scalar(item) => Ok(()),
            _ => found(
                item.span().start_line,
                "a list or map is written of texts and numbers; make sure with `|string` or `|int`, or print the \
                 parts one after another",
            ),
        }
    })
}

fn scalar(of: &Expr<'_>) -> bool {
    match of {
        Expr::Const(_) | Expr::Test(_) | Expr::Compare(_) => true,
        Expr::UnaryOp(of) => matches!(of.op, UnaryOpKind::Not) || number(&of.expr),
        Expr::IfExpr(of) => scalar(&of.true_expr) && of.false_expr.as_ref().is_none_or(scalar),
        _ => number(of) || text(of),
    }
}

fn number(of: &Expr<'_>) -> bool {
    match of {
        Expr::Const(of) => of.value.is_number(),
        Expr::UnaryOp(of) => matches!(of.op, UnaryOpKind::Neg),
        Expr::Filter(of) => NUMBERS.contains(&of.name),
        Expr::GetAttr(of) => {
            matches!(&of.expr, Expr::Var(var) if var.id == "loop")
                && matches!(
                    of.name,
                    "index" | "index0" | "revindex" | "revindex0" | "length" | "depth" | "depth0"
                )
        }
        Expr::BinOp(of) => match of.op {
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => true,
            BinOpKind::Add => number(&of.left) || number(&of.right),
            BinOpKind::Mul => number(&of.left) && number(&of.right),
            _ => false,
        },
        _ => false,
    }
}

fn text(of: &Expr<'_>) -> bool {
    match of {
        Expr::Const(of) => of.value.as_str().is_some(),
        Expr::Slice(of) => text(&of.expr),
        Expr::Filter(of) => TEXTS.contains(&of.name),
        Expr::BinOp(of) => match of.op {
            BinOpKind::Concat => true,
            BinOpKind::Add => text(&of.left) || text(&of.right),
            BinOpKind::Mul => text(&of.left) || text(&of.right),
            _ => false,
        },
        _ => false,
    }
}
