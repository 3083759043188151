//! Renders a template within its limits, and tells what went wrong in the file's own lines.

use std::io;

use minijinja::{Error, ErrorKind, Value};

use super::limits::{RenderError, RenderErrorKind, RenderLimits};
use super::namespace::Templates;

impl Templates {
    /// Renders a template, by bare name or by one with prefix.
    ///
    /// A pure function of the namespace and the variables: no date, no chance. `none` prints nothing, lists and maps
    /// print as JSON.
    ///
    /// # Errors
    ///
    /// No such template, a variable that there is not, too long a result, too much work, or what minijinja refuses.
    pub fn render(&self, name: &str, variables: Value, limits: RenderLimits) -> Result<String, RenderError> {
        let (full, _) = self.find(name).map_err(|unknown| RenderError {
            template: name.to_owned(),
            line: None,
            message: unknown.to_string(),
            kind: RenderErrorKind::Other,
        })?;
        // Fuel belongs to the environment. Its templates are shared by the copy, not compiled again.
        let mut environment = self.0.environment.clone();
        environment.set_fuel(Some(limits.fuel));
        let mut out = Bounded { text: Vec::new(), most: limits.output_bytes, full: false };
        let rendered = environment
            .get_template(full)
            .and_then(|template| template.render_captured_to(variables.clone(), &mut out).map(|_| ()));
        match rendered {
            Ok(()) => Ok(String::from_utf8(out.text).expect("minijinja writes text")),
            Err(_) if out.full => Err(RenderError {
                template: full.to_owned(),
                line: None,
                message: format!("the result has more than {} bytes", limits.output_bytes),
                kind: RenderErrorKind::TooLong,
            }),
            Err(error) => Err(self.told(full, &error, &variables, limits)),
        }
    }

    fn told(&self, full: &str, error: &Error, variables: &Value, limits: RenderLimits) -> RenderError {
        let innermost = innermost(error);
        let located = if innermost.line().is_some() { innermost } else { error };
        let template = located.name().filter(|name| self.0.compiled.contains_key(*name)).unwrap_or(full);
        let first = self.0.compiled.get(template).map_or(1, |compiled| compiled.body_line);
        let line = located.line().and_then(|line| u32::try_from(line).ok()).map(|line| line + first - 1);
        let said = innermost.detail().map_or_else(|| innermost.kind().to_string(), str::to_owned);
        let (kind, message) = match innermost.kind() {
            ErrorKind::OutOfFuel => (
                RenderErrorKind::TooMuchWork,
                format!("the template does more work than its limit of {} allows", limits.fuel),
            ),
            ErrorKind::UndefinedError => (RenderErrorKind::Undefined, undefined(innermost, &said, variables)),
            _ => (RenderErrorKind::Other, said),
        };
        RenderError { template: template.to_owned(), line, message, kind }
    }
}

/// The error that the outer ones are about.
fn innermost(error: &Error) -> &Error {
    let mut at = error;
    while let Some(source) = std::error::Error::source(at).and_then(|source| source.downcast_ref::<Error>()) {
        at = source;
    }
    at
}

/// Names what is undefined, and what there is.
fn undefined(error: &Error, said: &str, variables: &Value) -> String {
    let source = error.template_source().zip(error.range()).and_then(|(source, range)| source.get(range));
    let what = source.map_or_else(|| said.to_owned(), |source| format!("`{}` is undefined", source.trim()));
    let mut known: Vec<String> =
        variables.try_iter().map(|names| names.map(|name| name.to_string()).collect()).unwrap_or_default();
    known.sort();
    format!("{what}; the variables are {}", known.join(", "))
}

/// Takes so many bytes and no more.
struct Bounded {
    text: Vec<u8>,
    most: usize,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.most {
            self.full = true;
            return Err(io::Error::other("the result is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
