//! `config`: the settings that a server would have here, with the same flags, and where each comes from. Knows the
//! server's settings, and no server.

use claude_comms_server::config::{self, ConfigFile, Loaded, Overrides, Setting};
use serde_json::{Value, json};

use crate::{
    args::{Format, ServerSettings, ShowConfig},
    exit::{Exit, Failure, chain},
    output::{Column, Table, Ui},
};

/// Shows the settings, a default file, or the file's schema. Needs no server.
pub(crate) fn run(show: ShowConfig, ui: &Ui) -> Result<Exit, Failure> {
    if show.default {
        ui.write(&config::default_file())?;
        return Ok(Exit::Done);
    }
    if show.schema {
        ui.json_text(&config::schema().to_string())?;
        return Ok(Exit::Done);
    }
    let loaded = load(&overrides(show.settings))?;
    if ui.format != Format::Table {
        ui.serialized(&document(&loaded))?;
        return Ok(Exit::Done);
    }
    ui.note(&match &loaded.file {
        ConfigFile::Read(path) => format!("read {}", path.display()),
        ConfigFile::Absent(path) => {
            format!("there is no {}; `claude-comms config --default` prints one", path.display())
        }
        ConfigFile::Nowhere => "no file was looked for: neither HOME nor XDG_CONFIG_HOME is set".to_owned(),
    });
    let mut table =
        Table::new(&[Column::new("KEY"), Column::new("VALUE").flexible(), Column::new("SOURCE").flexible()]);
    for setting in loaded.settings() {
        table.row([setting.key.to_owned(), value(&setting), setting.source.to_string()]);
    }
    ui.table(&table)?;
    Ok(Exit::Done)
}

/// Settings with where they come from.
pub(crate) fn load(overrides: &Overrides) -> Result<Loaded, Failure> {
    config::load(overrides, std::env::vars_os()).map_err(|error| bad(&error))
}

/// The flags as the settings take them.
pub(crate) fn overrides(settings: ServerSettings) -> Overrides {
    Overrides {
        config_file: settings.config,
        listen: settings.listen,
        data_dir: settings.data_dir,
        backend: settings.backend,
        claude_binary: settings.claude_binary,
        scenario: settings.scenario,
        module_dirs: settings.module_dirs,
        template_dirs: settings.template_dirs,
    }
}

/// A configuration that cannot be used: what users wrote, so usage. Each problem has a line.
pub(crate) fn bad(error: &config::ConfigError) -> Failure {
    let text = chain(error);
    let mut lines = text.lines().map(str::to_owned);
    let mut failure = Failure::new(Exit::Usage, lines.next().unwrap_or_default());
    failure.lines = lines.collect();
    failure
}

/// A value for people.
fn value(setting: &Setting) -> String {
    match &setting.value {
        Value::Null => format!("({})", setting.otherwise.replace('`', "")),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        Value::Array(items) => {
            let plain = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Object(map) if map.is_empty() => "(none)".to_owned(),
        Value::Object(map) => map.keys().map(|name| format!("{name}=(set)")).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The same for programs.
fn document(loaded: &Loaded) -> Value {
    let (file, found) = match &loaded.file {
        ConfigFile::Read(path) => (Some(path.to_string_lossy().into_owned()), true),
        ConfigFile::Absent(path) => (Some(path.to_string_lossy().into_owned()), false),
        ConfigFile::Nowhere => (None, false),
    };
    let setting = |setting: Setting| {
        json!({
            "key": setting.key,
            "value": setting.value,
            "source": setting.source.to_string(),
            "reloads": setting.reloads,
        })
    };
    let settings: Vec<Value> = loaded.settings().into_iter().map(setting).collect();
    json!({ "file": file, "fileFound": found, "settings": settings })
}
