//! Rules of the JSON Schemas in a descriptor, and of the examples that must fit them.

use crate::{
    check::findings::Findings,
    data_schema::DataSchema,
    node::{At, Content},
    schema_words::no_keywords,
};

pub(super) fn check(root: &At<'_>, findings: &mut Findings) {
    for capability in root.items_of("capabilities") {
        let input = schema(capability.key("input"), findings);
        let output = schema(capability.key("output"), findings);
        for example in capability.items_of("examples") {
            fits(example.key("input"), input.as_ref(), "input", findings);
            fits(example.key("output"), output.as_ref(), "output", findings);
        }
        if capability.key("output").is_none() && matches!(capability.node.content, Content::Map(_)) {
            findings
                .warning(&capability, "no output schema; its answers are text only, without checked data");
        }
    }
    for data_type in root.items_of("data_types") {
        schema(data_type.key("schema"), findings);
    }
}

fn schema(at: Option<At<'_>>, findings: &mut Findings) -> Option<DataSchema> {
    let at = at?;
    if !matches!(at.node.content, Content::Map(_) | Content::Bool(_)) {
        findings.problem(&at, "not a JSON Schema; write a mapping such as {type: object}");
        return None;
    }
    let value = at.node.to_value();
    match DataSchema::compile(&value) {
        Ok(schema) => {
            for word in no_keywords(&value) {
                findings.warning(&at.follow(&word.pointer), word.message);
            }
            Some(schema)
        }
        Err(wrong) => {
            for finding in wrong {
                findings.problem(&at.follow(&finding.pointer), finding.message);
            }
            None
        }
    }
}

fn fits(at: Option<At<'_>>, schema: Option<&DataSchema>, side: &str, findings: &mut Findings) {
    let (Some(at), Some(schema)) = (at, schema) else { return };
    for finding in schema.findings(&at.node.to_value()) {
        findings.problem(
            &at.follow(&finding.pointer),
            format!("does not fit the capability's {side} schema: {}; change one of them", finding.message),
        );
    }
}
