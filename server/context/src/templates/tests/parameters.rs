//! Parameters are checked before anything is sent, and every problem is told.

use serde_json::{Value, json};

use super::super::{ParameterProblem, check_parameters};
use super::one;

const TEXT: &str = "---\nparameters:\n  rows: {type: integer, minimum: 1, default: 10}\n  ratio: {type: [number, 'null'], \
                    default: 0.5}\n  deep: {type: boolean, default: false}\n  tags: {type: array, items: {type: string}, \
                    default: []}\n  at: {type: object, required: [x], default: {x: 1}}\n  table: {type: string, \
                    description: Which table}\n  note: {type: string, required: false}\n  any: {required: false}\n---\n";

fn check(given: Value) -> Result<Value, Vec<ParameterProblem>> {
    let templates = one(TEXT);
    check_parameters(templates.info("t").unwrap(), given.as_object().unwrap()).map(Value::Object)
}

#[test]
fn defaults_and_absent_ones_complete_what_is_given() {
    assert_eq!(
        check(json!({"table": "t"})).unwrap(),
        json!({"rows": 10, "ratio": 0.5, "deep": false, "tags": [], "at": {"x": 1}, "table": "t", "note": null, "any": null})
    );
}

#[test]
fn text_is_converted_where_another_type_is_asked_for() {
    let given = json!({"table": "5", "rows": " 5", "ratio": "1.5", "deep": "true", "tags": "[\"a\"]", "at": "{\"x\": 2}", "any": "5"});
    assert_eq!(
        check(given).unwrap(),
        json!({"table": "5", "rows": 5, "ratio": 1.5, "deep": true, "tags": ["a"], "at": {"x": 2}, "note": null, "any": "5"})
    );
}

#[test]
fn every_problem_is_told() {
    let given = json!({"row": 1, "rows": "many", "deep": 1, "at": "{}", "tags": [1], "zzz": 1});
    let problems = check(given).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for part in [
        "parameter `row`: template `t` has no such parameter; did you mean `rows`?",
        "parameter `zzz`: template `t` has no such parameter; it has any, at, deep",
        "parameter `rows`: `many` is not of type integer",
        "parameter `deep`: 1 is not of type \"boolean\"",
        "parameter `at`: \"x\" is a required property",
        "parameter `tags`: at [0]: 1 is not of type \"string\"",
        "parameter `table`: template `t` needs it (Which table)",
    ] {
        assert!(told.iter().any(|told| told.starts_with(part)), "{told:#?}\ndo not say {part}");
    }
    assert_eq!(told.len(), 7, "{told:#?}");
    assert_eq!(
        check(json!({"table": "t", "rows": "0"})).unwrap_err()[0].message,
        "0 is less than the minimum of 1"
    );
}

#[test]
fn values_are_bounded_together() {
    let problems = check(json!({"table": "x".repeat(70_000)})).unwrap_err();
    assert!(problems[0].to_string().contains("65536 bytes"), "{problems:?}");
}
