//! What kinds of settings there are: how each is read, shown, described and taken over. A key names its kind and the
//! place in [`Config`] that it sets, and nothing else.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use serde_json::{Map, Value, json};

use super::{Config, Dollars, Listen, Variables, value};
use crate::listen;

/// Where in the settings a value lives.
type Place<T> = fn(&mut Config) -> &mut T;

/// The kind of a setting, with its place.
pub(super) enum Kind {
    /// A whole number in a range.
    Count(RangeInclusive<usize>, Place<usize>),
    /// As [`Self::Count`], of a smaller type.
    SmallCount(RangeInclusive<u32>, Place<u32>),
    /// A whole number in a range that may be left out.
    OptionalCount(RangeInclusive<u64>, Place<Option<u64>>),
    /// A size in bytes that may be left out.
    OptionalBytes(RangeInclusive<u64>, Place<Option<u64>>),
    /// A span of time.
    Span(Place<Duration>),
    /// US dollars above 0 that may be left out.
    OptionalDollars(Place<Option<Dollars>>),
    /// A span of time that may be left out.
    OptionalSpan(Place<Option<Duration>>),
    /// true or false.
    #[expect(dead_code, reason = "the next switch needs it")]
    Truth(Place<bool>),
    /// A text that may be left out.
    OptionalText(Place<Option<String>>),
    /// A list of texts.
    Texts(Place<Vec<String>>),
    /// A list of modules, or pairs of them, to keep warm.
    WarmList(Place<Vec<String>>),
    /// A path.
    Path(Place<PathBuf>),
    /// A path that may be left out.
    OptionalPath(Place<Option<PathBuf>>),
    /// A list of paths.
    Paths(Place<Vec<PathBuf>>),
    /// Endpoints to listen on.
    Endpoints(Place<Vec<Listen>>),
    /// Environment variables: a map whose keys are free and whose values are secret.
    Variables(Place<Variables>),
    /// One of a few words: the words, what sets one, what gives it back.
    Choice(&'static [&'static str], fn(&mut Config, &str), fn(&Config) -> &'static str),
}

impl Kind {
    /// Takes a value into the settings.
    pub(super) fn set(&self, config: &mut Config, value: &Value) -> Result<(), String> {
        match self {
            Self::Count(range, place) => *place(config) = value::count(value, range)?,
            Self::SmallCount(range, place) => {
                let wide = *range.start() as usize..=*range.end() as usize;
                *place(config) = u32::try_from(value::count(value, &wide)?).unwrap_or(u32::MAX);
            }
            Self::OptionalCount(range, place) => {
                let wide = *range.start() as usize..=*range.end() as usize;
                *place(config) = Some(value::count(value, &wide)? as u64);
            }
            Self::OptionalBytes(range, place) => *place(config) = Some(value::bytes(value, range)?),
            Self::OptionalDollars(place) => *place(config) = Some(value::dollars(value)?),
            Self::Span(place) => *place(config) = value::span(value)?,
            Self::OptionalSpan(place) => *place(config) = Some(value::span(value)?),
            Self::Truth(place) => *place(config) = value::truth(value)?,
            Self::OptionalText(place) => *place(config) = Some(value::text(value)?),
            Self::Texts(place) => *place(config) = value::strings(value)?,
            Self::WarmList(place) => *place(config) = value::warm(value)?,
            Self::Path(place) => *place(config) = value::path(value)?,
            Self::OptionalPath(place) => *place(config) = Some(value::path(value)?),
            Self::Paths(place) => *place(config) = value::paths(value)?,
            Self::Endpoints(place) => {
                let endpoints = value::strings(value)?;
                *place(config) =
                    endpoints.iter().map(|text| listen::parse(text)).collect::<Result<_, _>>()?;
            }
            Self::Variables(place) => place(config).0 = value::variables(value)?,
            Self::Choice(words, set, _) => set(config, value::choice(value, words)?),
        }
        Ok(())
    }

    /// The value as it is in effect, as the file would have it; null where there is none. Secrets are `(set)`.
    pub(super) fn show(&self, config: &Config) -> Value {
        // Places are mutable, so that a key has one; nobody shows settings often.
        let mut config = config.clone();
        let paths = |paths: &[PathBuf]| Value::from_iter(paths.iter().map(|path| path.to_string_lossy()));
        match self {
            Self::Count(_, place) => Value::from(*place(&mut config)),
            Self::SmallCount(_, place) => Value::from(*place(&mut config)),
            Self::OptionalCount(_, place) => Value::from(*place(&mut config)),
            Self::OptionalBytes(_, place) => Value::from(place(&mut config).map(value::sized)),
            Self::OptionalDollars(place) => Value::from(place(&mut config).map(f64::from)),
            Self::Span(place) => Value::from(humantime::format_duration(*place(&mut config)).to_string()),
            Self::OptionalSpan(place) => {
                Value::from(place(&mut config).map(|span| humantime::format_duration(span).to_string()))
            }
            Self::Truth(place) => Value::from(*place(&mut config)),
            Self::OptionalText(place) => Value::from(place(&mut config).clone()),
            Self::Texts(place) | Self::WarmList(place) => Value::from(place(&mut config).clone()),
            Self::Path(place) => Value::from(place(&mut config).to_string_lossy()),
            Self::OptionalPath(place) => {
                place(&mut config).as_ref().map_or(Value::Null, |path| Value::from(path.to_string_lossy()))
            }
            Self::Paths(place) => paths(place(&mut config)),
            Self::Endpoints(place) => Value::from_iter(place(&mut config).iter().map(ToString::to_string)),
            Self::Variables(place) => {
                let names = place(&mut config).0.keys().map(|name| (name.clone(), Value::from("(set)")));
                Value::Object(Map::from_iter(names))
            }
            Self::Choice(_, _, get) => Value::from(get(&config)),
        }
    }

    /// Takes the value over from other settings.
    pub(super) fn copy(&self, from: &Config, to: &mut Config) {
        fn over<T: Clone>(place: Place<T>, from: &Config, to: &mut Config) {
            place(to).clone_from(place(&mut from.clone()));
        }
        match self {
            Self::Count(_, place) => over(*place, from, to),
            Self::SmallCount(_, place) => over(*place, from, to),
            Self::OptionalCount(_, place) | Self::OptionalBytes(_, place) => over(*place, from, to),
            Self::OptionalDollars(place) => over(*place, from, to),
            Self::Span(place) => over(*place, from, to),
            Self::OptionalSpan(place) => over(*place, from, to),
            Self::Truth(place) => over(*place, from, to),
            Self::OptionalText(place) => over(*place, from, to),
            Self::Texts(place) | Self::WarmList(place) => over(*place, from, to),
            Self::Path(place) => over(*place, from, to),
            Self::OptionalPath(place) => over(*place, from, to),
            Self::Paths(place) => over(*place, from, to),
            Self::Endpoints(place) => over(*place, from, to),
            Self::Variables(place) => over(*place, from, to),
            Self::Choice(_, set, get) => set(to, get(from)),
        }
    }

    /// The JSON Schema of the value.
    pub(super) fn schema(&self) -> Value {
        let text = json!({ "type": "string", "minLength": 1 });
        match self {
            Self::Count(range, _) => {
                json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
            }
            Self::SmallCount(range, _) => {
                json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
            }
            Self::OptionalCount(range, _) => {
                json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
            }
            Self::OptionalBytes(range, _) => json!({
                "type": ["string", "integer"],
                "minimum": range.start(),
                "maximum": range.end(),
                "pattern": "^[0-9]+ *([KMGT]i?)?B?$",
            }),
            Self::OptionalDollars(_) => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Self::Span(_) | Self::OptionalSpan(_) => json!({
                "type": ["string", "integer"],
                "minimum": 1,
                "pattern": "^([0-9]+ *[a-zµ]* *)+$",
            }),
            Self::Truth(_) => json!({ "type": "boolean" }),
            Self::OptionalText(_) | Self::Path(_) | Self::OptionalPath(_) => text,
            Self::Texts(_) | Self::WarmList(_) | Self::Paths(_) => {
                json!({ "type": ["array", "string"], "items": text })
            }
            Self::Endpoints(_) => json!({
                "type": ["array", "string"],
                "items": { "type": "string", "pattern": "^(unix:|https?://)" },
            }),
            Self::Variables(_) => json!({
                "type": "object",
                "additionalProperties": { "type": ["string", "number", "boolean"] },
            }),
            Self::Choice(words, ..) => json!({ "enum": words }),
        }
    }

    /// Whether it is a map of its own, whose keys are free.
    pub(super) fn is_free_map(&self) -> bool {
        matches!(self, Self::Variables(_))
    }
}
