//! Which facts of modules and of previewed contexts people see.

use std::{fmt::Write as _, time::SystemTime};

use claude_comms_client::v1;

use super::{
    Column, Details, Paint, Table, Tone, View,
    human::{ago, one_line, printable, time},
    schema_words::in_short,
    views::or_dash,
};

/// `1.2.0`, and from the second content of that version on `1.2.0#2`.
pub(crate) fn version(version: &str, revision: u32) -> String {
    if revision > 1 { format!("{version}#{revision}") } else { version.to_owned() }
}

/// `marker 1.0.0 → arangodb 2.1.0`; empty without modules. Versions that are empty are left out.
pub(crate) fn between(source: (&str, &str), target: (&str, &str)) -> String {
    let side = |(name, version): (&str, &str)| format!("{name} {version}").trim_end().to_owned();
    match (source.0, target.0) {
        (_, "") => String::new(),
        ("", _) => format!("→ {}", side(target)),
        _ => format!("{} → {}", side(source), side(target)),
    }
}

fn origin(module: &v1::Module) -> &'static str {
    let name = module.origin().as_str_name();
    name.strip_prefix("MODULE_ORIGIN_").unwrap_or(name)
}

/// The table of modules.
pub(crate) fn modules(modules: &[v1::Module]) -> Table {
    let now = SystemTime::now();
    let mut table = Table::new(&[
        Column::new("NAME"),
        Column::new("VERSION"),
        Column::new("ORIGIN").droppable(2),
        Column::new("UPDATED").droppable(4),
        Column::new("CAPABILITIES").flexible_from(14).droppable(3),
        Column::new("DESCRIPTION").flexible_from(24).droppable(1),
    ]);
    for module in modules {
        table.row([
            module.name.clone(),
            version(&module.version, module.revision),
            origin(module).into(),
            ago(module.update_time.as_ref(), now),
            or_dash(&names(&module.capabilities)),
            about(module),
        ]);
    }
    table
}

/// The table of modules that were found.
pub(crate) fn discovered(found: &[v1::DiscoveredModule]) -> Table {
    let mut table = Table::new(&[
        Column::new("NAME"),
        Column::new("VERSION").droppable(3),
        Column::new("SCORE").right().droppable(2),
        Column::new("MATCHED").flexible_from(20),
        Column::new("DESCRIPTION").flexible_from(20).droppable(1),
    ]);
    for found in found {
        let module = found.module.clone().unwrap_or_default();
        table.row([
            module.name.clone(),
            version(&module.version, module.revision),
            format!("{:.2}", found.score),
            or_dash(&found.matched.join(", ")),
            about(&module),
        ]);
    }
    table
}

fn names(capabilities: &[v1::Capability]) -> String {
    capabilities.iter().map(|capability| capability.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The description; the title before it where it says more than the name.
fn about(module: &v1::Module) -> String {
    if module.title.is_empty() || module.title.eq_ignore_ascii_case(&module.name) {
        or_dash(&module.description)
    } else {
        format!("{}: {}", module.title, module.description)
    }
}

impl View for v1::Module {
    fn details(&self) -> Details {
        Details::default()
            .fact("name", &self.name)
            .fact("title", &self.title)
            .fact("version", version(&self.version, self.revision))
            .fact("origin", origin(self))
            .fact("path", &self.path)
            .fact("tags", self.tags.join(", "))
            .fact("digest", &self.digest)
            .fact("created", time(self.create_time.as_ref()))
            .fact("updated", time(self.update_time.as_ref()))
            .fact("cut here", self.truncated_fields.join(" "))
            .block("description", self.description.trim_end())
            .block("capabilities", &self.capabilities.iter().map(capability).collect::<String>())
            .block("data types", &self.data_types.iter().map(data_type).collect::<String>())
            .block(
                "relationships",
                &self.relationships.iter().map(|other| relationship(&self.name, other)).collect::<String>(),
            )
            .block("warnings", &self.warnings.join("\n"))
            .block("revisions", &self.revisions.iter().map(revision).collect::<String>())
    }
}

fn capability(capability: &v1::Capability) -> String {
    let read_only = if capability.read_only { " (read-only)" } else { "" };
    let tags =
        if capability.tags.is_empty() { String::new() } else { format!(" [{}]", capability.tags.join(", ")) };
    let mut text = format!("{}{read_only}{tags}\n", capability.name);
    text.push_str(&line("  ", &capability.description));
    text.push_str(&shape("takes", &capability.input_schema_json));
    text.push_str(&shape("gives", &capability.output_schema_json));
    text
}

fn data_type(data_type: &v1::DataType) -> String {
    let media_type =
        if data_type.media_type.is_empty() { String::new() } else { format!(" ({})", data_type.media_type) };
    let mut text = format!("{}{media_type}\n", data_type.name);
    text.push_str(&line("  ", &data_type.description));
    text.push_str(&shape("shape", &data_type.schema_json));
    text
}

fn shape(name: &str, schema: &str) -> String {
    if schema.is_empty() { String::new() } else { line(&format!("  {name}: "), &in_short(schema)) }
}

/// The relationship as a sentence about `this`, then the words of those who declare it.
fn relationship(this: &str, relationship: &v1::ModuleRelationship) -> String {
    let other = &relationship.module;
    let verb = match relationship.kind() {
        v1::RelationshipKind::Consumes => "consumes",
        v1::RelationshipKind::Produces => "produces for",
        v1::RelationshipKind::DependsOn => "depends on",
        v1::RelationshipKind::RequiredBy => "is required by",
        v1::RelationshipKind::Peer => "works beside",
        v1::RelationshipKind::Unspecified => "is related to",
    };
    let declared = match (relationship.declared_here, relationship.declared_there) {
        (true, true) => "both declare it".to_owned(),
        (true, false) if !relationship.known => format!("{other} is not known here"),
        (true, false) => format!("{this} alone declares it"),
        (false, _) => format!("{other} alone declares it"),
    };
    let mut text = format!("{this} {verb} → {other} ({declared})\n");
    text.push_str(&line("  ", &relationship.description));
    if relationship.other_description != relationship.description {
        text.push_str(&line(&format!("  in {other}'s words: "), &relationship.other_description));
    }
    text
}

fn revision(revision: &v1::ModuleRevision) -> String {
    let current = if revision.current { "  current" } else { "" };
    let digest: String = revision.digest.chars().take(12).collect();
    format!(
        "{}  {}  {digest}{current}\n",
        version(&revision.version, revision.revision),
        time(revision.create_time.as_ref())
    )
}

/// A line of text, or nothing.
fn line(before: &str, text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() { text } else { format!("{before}{text}\n") }
}

/// What Claude would be told, for reading: both texts, then what they are made of.
pub(crate) fn preview(preview: &v1::ContextPreview, paint: Paint, width: Option<u16>) -> String {
    let mut out = String::new();
    for (name, text) in [("system prompt", &preview.system_prompt), ("message", &preview.message)] {
        out.push_str(&heading(name, paint));
        let text = printable(text.trim_end_matches('\n'));
        out.push_str(if text.is_empty() { "(none)" } else { &text });
        out.push_str("\n\n");
    }
    out.push_str(&heading("sections", paint));
    let mut sections = Table::new(&[
        Column::new("SECTION").flexible(),
        Column::new("PLACE").droppable(1),
        Column::new("TOKENS").right(),
        Column::new("BYTES").right().droppable(2),
    ]);
    for section in &preview.sections {
        let place = match section.place() {
            v1::SectionPlace::SystemPrompt => "system prompt",
            v1::SectionPlace::Message => "message",
            v1::SectionPlace::Unspecified => "-",
        };
        let (tokens, bytes) = (section.estimated_tokens.to_string(), section.bytes.to_string());
        sections.row([section.name.clone(), place.into(), tokens, bytes]);
    }
    out.push_str(&sections.render(paint, width));
    if !preview.omitted.is_empty() {
        out.push('\n');
        out.push_str(&heading("left out", paint));
        // Lines that a terminal may break: who reads this wants to know all of it.
        for left in together(&preview.omitted) {
            let (section, tokens) = (one_line(&left.section), left.estimated_tokens);
            let (what, why) = (one_line(&left.what), one_line(&left.why));
            writeln!(out, "{section}: {what} ({tokens} tokens; {why})").expect("a string takes all");
        }
    }
    out.push('\n');
    out.push_str(&total(preview).render(paint));
    out
}

/// One line for what was left out of several capabilities in the same way: a tight budget takes something of each.
fn together(omitted: &[v1::OmittedContext]) -> Vec<v1::OmittedContext> {
    const OF: &str = " of capability ";
    let mut lines: Vec<(v1::OmittedContext, Vec<&str>)> = Vec::new();
    for left in omitted {
        let (kind, name) = left.what.split_once(OF).unwrap_or((&left.what, ""));
        let same = lines.iter_mut().find(|(line, names)| {
            !names.is_empty()
                && !name.is_empty()
                && (line.what.as_str(), &line.section, &line.why) == (kind, &left.section, &left.why)
        });
        match same {
            Some((line, names)) => {
                line.estimated_tokens += left.estimated_tokens;
                names.push(name);
            }
            None => {
                let names = if name.is_empty() { Vec::new() } else { vec![name] };
                lines.push((v1::OmittedContext { what: kind.to_owned(), ..left.clone() }, names));
            }
        }
    }
    let told = |(line, names): (v1::OmittedContext, Vec<&str>)| {
        let what = match names.as_slice() {
            [] => line.what,
            [name] => format!("{}{OF}{name}", line.what),
            names => format!("{} of {} capabilities: {}", line.what, names.len(), names.join(", ")),
        };
        v1::OmittedContext { what, ..line }
    };
    lines.into_iter().map(told).collect()
}

fn total(preview: &v1::ContextPreview) -> Details {
    let versions = [&preview.source_version, &preview.target_version];
    let versions: Vec<&str> =
        versions.iter().map(|version| version.as_str()).filter(|version| !version.is_empty()).collect();
    let budget = match preview.token_budget {
        0 => String::new(),
        budget => format!(" of {budget}"),
    };
    Details::default()
        .fact("tokens", format!("{}{budget} (estimated)", preview.estimated_tokens))
        .fact("template", &preview.template)
        .fact("versions", versions.join(" → "))
        .fact("cut here", preview.truncated_fields.join(" "))
}

fn heading(name: &str, paint: Paint) -> String {
    paint.paint(Tone::Strong, &format!("── {name} ──")) + "\n"
}

#[cfg(test)]
mod tests;
