//! The settings written out: a default file, its JSON Schema, the table of the documentation.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value, json};

use super::{
    keys::{KEYS, Key, Reload, Unset},
    load::defaults,
};

const HEAD: &str = "\
# Configuration of the claude-comms server, with every default written out. Flags and environment variables
# (CLAUDE_COMMS_POOL__MAX_INSTANCES=16) come before this file. \"SIGHUP\" marks what `kill -HUP` changes in a running
# server; the rest needs a restart. `claude-comms config` shows what is in effect and where it comes from.
";

/// A file that means exactly the defaults and says what each key does. Keys without a fixed default are commented out.
pub fn default_file() -> String {
    let mut text = HEAD.to_owned();
    let mut level = "";
    for key in KEYS {
        let (above, name) = key.path.split_once('.').unwrap_or(("", key.path));
        text.push('\n');
        if above != level && !above.is_empty() {
            // Writing to a text cannot fail, here and below.
            let _ = writeln!(text, "{above}:");
        }
        level = above;
        let indent = if above.is_empty() { "" } else { "  " };
        let _ = writeln!(
            text,
            "{indent}# {}{}",
            key.doc.replace('`', ""),
            if signal(key) { " (SIGHUP)" } else { "" }
        );
        let _ = match key.unset {
            Unset::Value => writeln!(text, "{indent}{name}: {}", plain(&default_of(key))),
            Unset::Words(words, example) | Unset::Derived(words, example, _) => {
                writeln!(text, "{indent}# Default: {}.\n{indent}# {name}: {example}", words.replace('`', ""))
            }
        };
    }
    text
}

/// The JSON Schema (2020-12) of the file.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for key in KEYS {
        let mut schema = key.kind.schema();
        schema["description"] = json!(key.doc);
        if let Unset::Value = key.unset {
            schema["default"] = default_of(key);
        }
        match key.path.split_once('.') {
            None => {
                properties.insert(key.path.to_owned(), schema);
            }
            Some((level, name)) => {
                let level = properties.entry(level).or_insert_with(|| {
                    // A level with nothing below it is null in YAML.
                    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": {} })
                });
                level["properties"][name] = schema;
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the claude-comms server",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
    })
}

/// The rows of the table in docs/configuration.md.
pub fn documentation() -> Vec<String> {
    let row = |key: &Key| {
        let default = match key.unset {
            Unset::Value => match default_of(key) {
                Value::Array(list) if list.is_empty() => "none".to_owned(),
                Value::Object(map) if map.is_empty() => "none".to_owned(),
                value => format!("`{}`", plain(&value)),
            },
            Unset::Words(words, _) | Unset::Derived(words, ..) => words.to_owned(),
        };
        let reload = if signal(key) { "SIGHUP" } else { "restart" };
        format!("| `{}` | {default} | {reload} | {} |", key.path, key.doc)
    };
    KEYS.iter().map(row).collect()
}

fn signal(key: &Key) -> bool {
    key.reload == Reload::Signal
}

fn default_of(key: &Key) -> Value {
    key.kind.show(&defaults(&BTreeMap::new()))
}

/// A value as one would write it: JSON is YAML, but words need no quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text)
            if text.starts_with(|c: char| c.is_alphanumeric() || c == '/')
                && text.chars().all(|c| c.is_alphanumeric() || "-_./ ".contains(c))
                && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.as_str()) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}
