//! How the demo looks, at 80 columns. Knows what is shown, not where it comes from.

use claude_comms_client::v1;
use serde_json::Value;

use super::{
    demand::{Aql, Storage},
    paper::{HEADING, Paper, SOURCE},
};
use crate::{
    exit::Failure,
    output::{
        Column, Details, Paint, Table, Tone, Ui, cost, duration, module_views::between, printable, short_id,
        span, state,
    },
};

/// A space where no line is broken.
const TIED: char = '\u{a0}';
/// Columns that the story keeps to.
const WIDTH: u16 = 80;

/// Says what this is.
pub(super) fn title(ui: &Ui, real: bool) -> Result<(), Failure> {
    let who = if real {
        "It asks the real Claude, which may cost a little."
    } else {
        "Claude is simulated: no model, no key, no network. --backend claude takes the\nreal one."
    };
    let name = ui.out().paint(Tone::Strong, "claude-comms demo");
    ui.write(&format!("{name}\nA server of its own, with temporary data.\n{who}\n"))
}

/// Says what has come of a step.
pub(super) fn say(ui: &Ui, text: &str) -> Result<(), Failure> {
    let lines: Vec<_> = wrapped(text, "").iter().map(|line| ui.out().paint(Tone::Good, line)).collect();
    ui.write(&format!("{}\n", lines.join("\n")))
}

/// The modules, one a line.
pub(super) fn modules(ui: &Ui, modules: &[&v1::Module]) -> Result<(), Failure> {
    let mut table =
        Table::new(&[Column::new("MODULE"), Column::new("VERSION"), Column::new("CAPABILITIES").flexible()]);
    for module in modules {
        let names: Vec<_> = module.capabilities.iter().map(|one| one.name.as_str()).collect();
        table.row([module.name.clone(), module.version.clone(), names.join(", ")]);
    }
    let mut out = table.render(ui.out(), Some(WIDTH));
    for module in modules {
        let words = words(module);
        if !words.is_empty() {
            out.push_str(&cut(&format!("{} speaks of {}", module.name, words.join(", "))));
            out.push('\n');
        }
    }
    ui.write(&out)
}

/// The words of a module's glossary.
fn words(module: &v1::Module) -> Vec<String> {
    let descriptor: Value = serde_json::from_str(&module.descriptor_json).unwrap_or_default();
    let glossary = descriptor["context"]["glossary"].as_object().into_iter().flatten();
    glossary.map(|(word, _)| printable(word)).collect()
}

/// What Marker has made of the paper.
pub(super) fn paper(ui: &Ui, paper: &Paper) -> Result<(), Failure> {
    let pages = paper.pages();
    let mut lines = vec![
        String::new(),
        format!("Marker has made blocks of {SOURCE}, an invented paper of {pages} pages:"),
    ];
    for page in 0..pages {
        let counts: Vec<_> =
            paper.counts(page).iter().map(|(kind, count)| format!("{count}{TIED}{kind}")).collect();
        lines.extend(wrapped(&counts.join(", "), &format!("  page {page}  ")));
    }
    for block in paper
        .asked()
        .filter(|block| block.kind() == "Table" || block.kind() == "Caption" || block.text() == HEADING)
    {
        lines.push(cut(&format!("  {:<24}  {}", block.id(), block.text())));
    }
    ui.write(&(lines.join("\n") + "\n"))
}

/// What Claude would be told: sections and tokens, side by side.
pub(super) fn preview(ui: &Ui, preview: &v1::ContextPreview) -> Result<(), Failure> {
    let of = |place| {
        let sections = preview.sections.iter().filter(move |section| section.place() == place);
        sections.map(|section| [section.name.clone(), section.estimated_tokens.to_string()])
    };
    let mut system = of(v1::SectionPlace::SystemPrompt);
    let mut message = of(v1::SectionPlace::Message);
    let mut table = Table::new(&[
        Column::new("SYSTEM PROMPT"),
        Column::new("TOKENS").right(),
        Column::new("  MESSAGE"),
        Column::new("TOKENS").right(),
    ]);
    loop {
        let (left, right) = (system.next(), message.next());
        if left.is_none() && right.is_none() {
            break;
        }
        let [name, tokens] = left.unwrap_or_default();
        let [other, others] = right.unwrap_or_default();
        table.row([name, tokens, other, others]);
    }
    ui.write(&table.render(ui.out(), Some(WIDTH)))?;
    let left_out = match preview.omitted.len() {
        0 => String::new(),
        n => format!("; {n} least useful pieces were left out"),
    };
    say(
        ui,
        &format!(
            "Claude is given both descriptors, and no files or tools: {} of {} tokens (estimated){left_out}.",
            preview.estimated_tokens, preview.token_budget
        ),
    )
}

/// A question, behind a bar.
pub(super) fn question(ui: &Ui, text: &str, more: &str) -> Result<(), Failure> {
    let mut lines = wrapped(text, "> ");
    if !more.is_empty() {
        lines.push(format!("> {more}"));
    }
    let lines: Vec<_> = lines.iter().map(|line| ui.out().paint(Tone::Strong, line)).collect();
    ui.write(&format!("{}\n", lines.join("\n")))
}

/// Data that fits, in short.
pub(super) fn storage(ui: &Ui, storage: &Storage) -> Result<(), Failure> {
    say(ui, "What Marker's program gets, checked by ArangoDB's own schemas:")?;
    let list = |items: &[(String, usize)]| {
        items.iter().map(|(name, count)| format!("{count} of {name}")).collect::<Vec<_>>().join(", ")
    };
    let collections: Vec<_> =
        storage.collections.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    let mut out = String::new();
    for (name, text) in [
        ("collections", collections.join(", ")),
        ("documents", list(&storage.documents)),
        ("edges", list(&storage.edges)),
    ] {
        fact(&mut out, ui.out(), name, &wrapped(&printable(&text), &" ".repeat(INDENT)));
    }
    if let Some(document) = &storage.document {
        let line = cut(&format!("{}{}", " ".repeat(INDENT), printable(document)));
        fact(&mut out, ui.out(), "a document", &[line]);
    }
    if let Some((from, to)) = &storage.edge {
        let line = format!("{}{}", " ".repeat(INDENT), printable(&format!("{from} → {to}")));
        fact(&mut out, ui.out(), "an edge", &[line]);
    }
    ui.write(&out)?;
    aql(ui, &storage.aql)
}

/// A query with its bind parameters.
pub(super) fn aql(ui: &Ui, aql: &Aql) -> Result<(), Failure> {
    let query = printable(aql.query.trim_end());
    let query: Vec<_> = query.lines().map(|line| format!("{}{line}", " ".repeat(INDENT))).collect();
    let mut out = String::new();
    fact(&mut out, ui.out(), "aql", &query);
    let bind = printable(&aql.bind).replace(",\"", ", \"");
    fact(&mut out, ui.out(), "bind", &wrapped(&bind, &" ".repeat(INDENT)));
    ui.write(&out)
}

/// Where the text of a fact begins.
const INDENT: usize = 15;

/// Lines that begin with space for the name.
fn fact(out: &mut String, paint: Paint, name: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let text = line.get(INDENT..).unwrap_or_default();
        let name = if index == 0 { name } else { "" };
        let space = " ".repeat(INDENT.saturating_sub(2 + name.len()));
        out.extend(["  ", &paint.paint(Tone::Faint, name), &space, text, "\n"]);
    }
}

/// The conversation and its turns; what they cost where it was paid.
pub(super) fn conversation(
    ui: &Ui,
    conversation: &v1::Conversation,
    turns: &[v1::Turn],
    paid: bool,
) -> Result<(), Failure> {
    let details = Details::default()
        .fact("conversation", &conversation.id)
        .state("state", state(conversation.state().as_str_name()))
        .fact(
            "modules",
            between(
                (&conversation.source_module, &conversation.source_version),
                (&conversation.target_module, &conversation.target_version),
            ),
        )
        .fact("cost", if paid { cost(conversation.cost_usd) } else { String::new() });
    let mut table = Table::new(&[
        Column::new("TURN"),
        Column::new("STATE").painted(),
        Column::new("TEMPLATE"),
        Column::new("DATA").right(),
        Column::new("TOOK").right(),
        Column::new("PROMPT").flexible(),
    ]);
    for turn in turns {
        let took = span(turn.create_time.as_ref(), turn.end_time.as_ref());
        table.row([
            short_id(&turn.id).into(),
            state(turn.state().as_str_name()).into(),
            turn.template.clone(),
            match turn.data_json.len() {
                0 => "-".into(),
                bytes => format!("{} KiB", bytes.div_ceil(1024)),
            },
            took.map_or_else(|| "-".into(), duration),
            turn.prompt.clone(),
        ]);
    }
    let paint = ui.out();
    ui.write(&format!("{}{}", details.render(paint), table.render(paint, Some(WIDTH))))
}

/// What to do next.
pub(super) fn farewell(ui: &Ui) -> Result<(), Failure> {
    let paint = ui.out();
    ui.write(&format!(
        "\nServer, processes and data of the demo are gone.\n\n{}\n  \
         claude-comms serve                     # with --backend simulated: no model\n\
         then, in a second terminal:\n  \
         claude-comms query-module arangodb --from marker \"How do I store a page?\"\n\
         and for a module of your own, say mine (change the name in the file):\n  \
         claude-comms show-module marker --descriptor > mine.yaml\n  \
         claude-comms validate-module mine.yaml\n  \
         claude-comms register-module mine --path . --desc mine.yaml\n  \
         claude-comms query-module mine --from marker \"What do you need of me?\"\n",
        paint.paint(Tone::Strong, "Try next:")
    ))
}

/// The text in lines of at most 79 columns, each of which begins with `before`, or with so much space after the first.
fn wrapped(text: &str, before: &str) -> Vec<String> {
    let most = usize::from(WIDTH) - 1;
    let next =
        if before.trim_start().starts_with('>') { before.to_owned() } else { " ".repeat(before.len()) };
    let mut lines = Vec::new();
    let mut line = before.to_owned();
    let mut empty = true;
    for word in text.split_ascii_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > most {
            lines.push(std::mem::replace(&mut line, next.clone()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines.iter().map(|line| line.replace(TIED, " ")).collect()
}

/// A line of at most 79 columns.
fn cut(line: &str) -> String {
    let most = usize::from(WIDTH) - 1;
    if line.chars().count() <= most {
        return line.to_owned();
    }
    format!("{}…", line.chars().take(most - 1).collect::<String>().trim_end())
}
