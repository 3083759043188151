//! The one message that asks for an answer again.

use std::fmt::Write as _;

use super::finding::Finding;
use super::schema::OutputSchema;
use crate::templates::escape;

/// Most bytes of a schema that is sent again; a longer one was sent once and is referred to.
const SCHEMA_AGAIN: usize = 16 * 1024;

/// Asks for the whole answer again, because of these findings.
pub fn repair_message(findings: &[Finding], schema: &OutputSchema) -> String {
    let mut message = String::from("The data of your last answer cannot be used:\n\n");
    for finding in findings {
        let shown = escape::data(&escape::one_line(&finding.to_string()));
        writeln!(message, "- {shown}").expect("a string takes all");
    }
    message.push_str(
        "\nSend the whole answer again, text and data, as if it were the first one; do not mention this correction. \
         Put the data into exactly one fenced block that is opened by ```json and holds one JSON value and nothing \
         else. ",
    );
    if schema.text().len() <= SCHEMA_AGAIN {
        message.push_str("The value must fit this JSON Schema:\n\n<schema>\n");
        message.push_str(schema.text());
        message.push_str("\n</schema>\n");
    } else {
        message.push_str("The value must fit the JSON Schema that you were given with the question.\n");
    }
    message.push_str(
        "\nDo not invent data to make it fit. If you cannot give it, answer instead with one fenced block that is \
         opened by ```unanswerable and says why, and what would be needed.\n",
    );
    message
}
