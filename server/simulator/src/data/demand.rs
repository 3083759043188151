//! Whether a message demands data, and by which schema: told by the sections that the server writes around it.

use serde_json::{Deserializer, Value};

/// How a message begins that asks for an answer again.
const REPAIR: &str = "The data of your last answer cannot be used";
/// What holds the schema in a message that asks.
const QUESTION_SECTION: &str = "output_format";
/// What holds the schema in a message that asks again, unless the schema is long.
const REPAIR_SECTION: &str = "schema";

/// The schema of the data that the last of these prompts demands, if it does. One that asks again and does not hold
/// the schema means that of the question before.
pub(crate) fn demanded(prompts: &[String]) -> Option<Value> {
    let (last, earlier) = prompts.split_last()?;
    if !last.trim_start().starts_with(REPAIR) {
        return in_section(last, QUESTION_SECTION);
    }
    in_section(last, REPAIR_SECTION)
        .or_else(|| earlier.iter().rev().find_map(|prompt| in_section(prompt, QUESTION_SECTION)))
}

/// The schema in a message's last section of this name: the JSON on the section's first line that begins as a schema.
fn in_section(message: &str, name: &str) -> Option<Value> {
    let (_, section) = message.rsplit_once(&format!("<{name}>"))?;
    let section = section.split_once(&format!("</{name}>")).map_or(section, |(inside, _)| inside);
    let mut start = 0;
    for line in section.split_inclusive('\n') {
        let word = line.trim();
        if word.starts_with('{') || word == "true" || word == "false" {
            let mut values = Deserializer::from_str(&section[start..]).into_iter::<Value>();
            return values.next()?.ok();
        }
        start += line.len();
    }
    None
}
