//! The file: where it is, what it holds, and on which line. Knows no setting.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_yaml::Spanned;

use super::ConfigError;

/// The file and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// It was read.
    Read(PathBuf),
    /// It is looked for here and is not there.
    Absent(PathBuf),
    /// Neither HOME nor XDG_CONFIG_HOME says where to look.
    Nowhere,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its top level.
    pub values: Map<String, Value>,
    /// The lines of its keys, from 1, by path.
    pub lines: BTreeMap<String, u64>,
}

/// Reads the file: the named one, which must be there, else the user's.
pub(super) fn read(
    named: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(ConfigFile, Contents), ConfigError> {
    let set = |name: &str| environment.get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let Some(dir) = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
            else {
                return Ok((ConfigFile::Nowhere, Contents::default()));
            };
            dir.join("claude-comms/claude-comms.yaml")
        }
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let contents = parse(&path, &text)?;
            Ok((ConfigFile::Read(path), contents))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            Ok((ConfigFile::Absent(path), Contents::default()))
        }
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Contents, ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Contents::default());
    }
    let not_yaml = |message: String| ConfigError::NotYaml { path: path.to_owned(), message };
    // Never with the lines around an error: one of them may be a secret.
    let options = serde_yaml::options! { with_snippet: false };
    match serde_yaml::from_str_with_options::<Value>(text, options)
        .map_err(|error| not_yaml(error.to_string()))?
    {
        Value::Object(values) => {
            // It was just read as a map; without lines messages would only be shorter.
            let lines = serde_yaml::from_str::<Lines>(text).map(|lines| lines.0).unwrap_or_default();
            Ok(Contents { values, lines })
        }
        Value::Null => Ok(Contents::default()),
        _ => Err(not_yaml("the top level must be a map".to_owned())),
    }
}

/// The lines of a map's keys and of those below.
#[derive(Default)]
struct Lines(BTreeMap<String, u64>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Lines, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lines::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Lines, A::Error> {
        let mut lines = Lines::default();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let below: Lines = access.next_value()?;
            lines.0.extend(below.0.into_iter().map(|(path, line)| (format!("{}.{path}", key.value), line)));
            lines.0.insert(key.value, key.defined.line());
        }
        Ok(lines)
    }
}
