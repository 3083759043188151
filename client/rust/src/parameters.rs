//! Parameters of templates as the contract wants them. Knows no template; the server checks names and types.

use prost_types::{Struct, Value, value::Kind};

/// Parameters given as text. The server converts each to the type that the template declares: `"5"` becomes 5 where a
/// number is wanted, and stays text where text is.
///
/// ```
/// let parameters = claude_comms_client::text_parameters([("depth", "2"), ("graph", "papers")]);
/// assert_eq!(parameters.fields.len(), 2);
/// ```
pub fn text_parameters<N: Into<String>, V: Into<String>>(
    parameters: impl IntoIterator<Item = (N, V)>,
) -> Struct {
    let fields = parameters
        .into_iter()
        .map(|(name, value)| (name.into(), Value { kind: Some(Kind::StringValue(value.into())) }));
    Struct { fields: fields.collect() }
}
