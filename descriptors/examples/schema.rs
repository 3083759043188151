//! Prints the descriptor format's JSON Schema; `descriptors/schema/module.v1.schema.json` is this output.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(claude_comms_descriptors::json_schema_text().as_bytes())
}
