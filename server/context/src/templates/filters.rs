//! The filters that differ from minijinja's. Text may be marked safe only if it holds none of our tags.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, Value};

use super::print::{Style, as_json};

/// minijinja's own filters that templates do not have.
const REMOVED: [&str; 15] = [
    "safe", "escape", "e", "attr", "batch", "chain", "count", "dictsort", "format", "groupby", "pprint",
    "slice", "split", "sum", "zip",
];

/// Sets the environment's filters.
pub(super) fn set(environment: &mut Environment<'_>) {
    for name in REMOVED {
        environment.remove_filter(name);
    }
    environment.add_filter("tojson", tojson);
    environment.add_filter("reverse", reverse);
}

/// Compact JSON; pretty with `indent=true`.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent = options.get::<Option<Value>>("indent")?.is_some_and(|indent| indent.is_true());
    options.assert_all_used()?;
    as_json(value, if indent { Style::Pretty } else { Style::Compact }).map(Value::from_safe_string)
}

/// A list's items or a text's characters from the end. minijinja's own only points at the list, so that thousands of
/// them one over another would take as much stack.
fn reverse(value: &Value) -> Result<Value, Error> {
    let reversed = value.reverse()?;
    if reversed.kind() == ValueKind::String {
        return Ok(reversed);
    }
    Ok(Value::from(reversed.try_iter()?.collect::<Vec<_>>()))
}
