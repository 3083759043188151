//! What is read from answers.

mod data;
mod schemas;

use serde_json::{Value, json};

use super::{Answer, OutputSchema, read};

fn schema(value: Value) -> OutputSchema {
    OutputSchema::compile(&value).expect("a schema")
}

fn any() -> OutputSchema {
    schema(json!(true))
}

fn findings(text: &str, schema: &OutputSchema) -> Vec<String> {
    match read(text, Some(schema)) {
        Answer::Invalid { findings } => findings.iter().map(ToString::to_string).collect(),
        other => panic!("{text:?} is {other:?}"),
    }
}

fn data(text: &str) -> (String, Value) {
    match read(text, Some(&any())) {
        Answer::Data { json, value } => (json, value),
        other => panic!("{text:?} is {other:?}"),
    }
}
