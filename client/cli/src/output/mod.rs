//! What users see: where it goes, in which form, in which colours. Knows the contract's messages, not the server.

mod human;
mod indent;
mod json;
pub(crate) mod module_views;
pub(crate) mod pool_views;
mod schema_words;
mod statistics;
mod table;
pub(crate) mod token_views;
pub(crate) mod views;

use std::io::{self, IsTerminal as _, Write as _};

use crate::{
    args::{Color, Format, Global},
    exit::{Exit, Failure},
};

pub(crate) use human::{cost, duration, of_day, one_line, printable, short_id, span, state, tokens};
pub(crate) use indent::indented;
use json::Json;
pub(crate) use json::Resource;
pub(crate) use table::{Column, Details, Table, tone};
pub(crate) use views::View;

/// Standard output and standard error as this run uses them.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Standard output is a terminal: what is written may be seen as it comes.
    pub(crate) live: bool,
    /// Columns of the terminal at standard output; `None` when it is none.
    width: Option<u16>,
    out: Paint,
    err: Paint,
}

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Colored,
}

/// What a piece of text is, not how it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Strong,
    Faint,
    Good,
    Busy,
    Bad,
}

impl Paint {
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn choose(color: Color, terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match color {
            Color::Always => Self::Colored,
            Color::Auto if terminal && !no_color && !dumb => Self::Colored,
            Color::Auto | Color::Never => Self::Plain,
        }
    }
}

impl Ui {
    /// The flags win over the environment, which a server does not look at.
    pub(crate) fn new(global: &Global, server: bool) -> Result<Self, Failure> {
        let live = io::stdout().is_terminal();
        let format = match global.output {
            Some(format) => format,
            None if server => Format::Table,
            None => format_of_environment()?,
        };
        Ok(Self {
            format,
            quiet: global.quiet,
            verbose: global.verbose,
            live,
            width: live.then(terminal_width).flatten(),
            out: Paint::choose(global.color, live),
            err: Paint::choose(global.color, io::stderr().is_terminal()),
        })
    }

    /// For failures before the options are known to be good.
    pub(crate) fn plain() -> Self {
        let (out, err) = (Paint::Plain, Paint::Plain);
        Self { format: Format::Table, quiet: false, verbose: false, live: false, width: None, out, err }
    }

    /// The same screen for a story, which has no other form than text.
    pub(crate) fn for_people(&self) -> Self {
        Self { format: Format::Table, ..self.clone() }
    }

    /// Prints a resource.
    pub(crate) fn resource<T: Resource + View>(&self, resource: &T) -> Result<(), Failure> {
        self.resource_as(resource, || resource.details())
    }

    /// Prints a resource whose facts are more than its own.
    pub(crate) fn resource_as<T: Resource>(
        &self,
        resource: &T,
        details: impl FnOnce() -> Details,
    ) -> Result<(), Failure> {
        self.shown(resource, |paint, _| details().render(paint))
    }

    /// Prints a list, in the shape of its List response.
    pub(crate) fn list<T: Resource>(&self, list: &T, table: impl FnOnce() -> Table) -> Result<(), Failure> {
        self.shown(list, |paint, width| table().render(paint, width))
    }

    /// Prints a message as JSON or YAML.
    fn value<T: Resource>(&self, message: &T) -> Result<(), Failure> {
        let json = Json::of(message);
        self.write(&if self.format == Format::Yaml { json.yaml()? } else { json.pretty()? })
    }

    /// Prints one event of a stream as JSON, a line, or as YAML, a document.
    pub(crate) fn event<T: Resource>(&self, message: &T) -> Result<(), Failure> {
        let json = Json::of(message);
        let text = if self.format == Format::Yaml {
            format!("---\n{}", json.yaml()?)
        } else {
            format!("{}\n", json.line()?)
        };
        self.write(&text)
    }

    /// Writes data to standard output, at once.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Prints JSON text that is data of its own: indented, or as YAML. No number of it changes.
    pub(crate) fn json_text(&self, text: &str) -> Result<(), Failure> {
        self.write(&match self.format {
            Format::Table | Format::Json => indented(text) + "\n",
            Format::Yaml => json::yaml_of_text(text)?,
        })
    }

    /// Prints JSON text as YAML, whatever the format.
    pub(crate) fn yaml_text(&self, json: &str) -> Result<(), Failure> {
        self.write(&json::yaml_of_text(json)?)
    }

    /// Prints a message that people read in a form of its own.
    pub(crate) fn shown<T: Resource>(
        &self,
        message: &T,
        text: impl FnOnce(Paint, Option<u16>) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.write(&text(self.out, self.width)),
            Format::Json | Format::Yaml => self.value(message),
        }
    }

    /// Prints a table of what is no message of the contract.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        self.write(&table.render(self.out, self.width))
    }

    /// Prints a value that is no message of the contract, as JSON or YAML.
    pub(crate) fn serialized(&self, value: &impl serde::Serialize) -> Result<(), Failure> {
        self.write(&json::serialized(value, self.format)?)
    }

    /// Paint of standard error.
    pub(crate) fn err(&self) -> Paint {
        self.err
    }

    /// Paint of standard output.
    pub(crate) fn out(&self) -> Paint {
        self.out
    }

    /// Says something on standard error unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(&self.err.paint(Tone::Faint, text));
        }
    }

    /// Says something on standard error with `--verbose`.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Says what is probably not meant, unless `--quiet`.
    pub(crate) fn warning(&self, message: &str) {
        if !self.quiet {
            say(&format!("{} {}", self.err.paint(Tone::Busy, "warning:"), printable(message)));
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, message: &str) {
        say(&format!("{} {}", self.err.paint(Tone::Bad, "error:"), printable(message)));
    }

    /// Says a line that has its form from elsewhere, as compilers have theirs.
    pub(crate) fn line(&self, line: &str) {
        say(&printable(line));
    }

    /// Says more of what went wrong.
    pub(crate) fn error_line(&self, line: &str) {
        say(&format!("  {}", printable(line)));
    }

    /// Says how to mend it.
    pub(crate) fn hint(&self, hint: &str) {
        say(&format!("{} {}", self.err.paint(Tone::Strong, "hint:"), printable(hint)));
    }
}

/// Writes a line to standard error. Nobody can be told when that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn format_of_environment() -> Result<Format, Failure> {
    let Some(value) = std::env::var_os("CLAUDE_COMMS_OUTPUT").filter(|value| !value.is_empty()) else {
        return Ok(Format::Table);
    };
    let text = value.to_string_lossy();
    clap::ValueEnum::from_str(&text, true).map_err(|_| {
        Failure::new(Exit::Usage, format!("CLAUDE_COMMS_OUTPUT is `{text}`"))
            .hint("it must be table, json or yaml")
    })
}

fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
