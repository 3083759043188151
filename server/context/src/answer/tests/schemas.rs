//! Data is checked against its schema, and what does not fit is told in few words.

use serde_json::json;

use super::super::{OutputSchema, repair_message};
use super::{Answer, findings, read, schema};

#[test]
fn findings_name_the_place_and_what_would_fit_worst_first() {
    let rows = schema(json!({
        "$defs": {"row": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "kind": {"enum": ["a", "b"]}, "n": {"type": ["integer", "null"], "minimum": 3}},
            "additionalProperties": false,
        }},
        "type": "object",
        "required": ["rows", "total"],
        "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/row"}}},
    }));
    let text = "{\"rows\": [{\"name\": \"x\"}, {\"name\": 5, \"kind\": \"c\"}, {\"n\": 1, \"extra\": 1}, 7]}";
    assert_eq!(
        findings(text, &rows),
        [
            "lacks the required member \"total\"",
            "rows[3]: must be of type object, not 7",
            "rows[2]: lacks the required member \"name\"",
            "rows[2]: may not have \"extra\"",
            "rows[1].name: must be of type string, not 5",
            "rows[1].kind: must be one of \"a\", \"b\", not \"c\"",
            "rows[2].n: 1 is less than the minimum of 3",
        ]
    );
    let fits = "{\"rows\": [], \"total\": 0}";
    assert!(matches!(read(fits, Some(&rows)), Answer::Data { .. }));
}

#[test]
fn of_alternatives_the_nearest_is_told() {
    let either = schema(json!({"anyOf": [
        {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
        {"type": "array", "minItems": 2},
    ]}));
    let found = findings("{\"id\": \"x\"}", &either);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("fits none of the alternatives; of the nearest one, "), "{found:?}");
}

#[test]
fn findings_are_few_and_short() {
    let texts = schema(json!({"items": {"type": "string", "pattern": "^[a-z]+$"}}));
    let many = serde_json::to_string(&vec![json!({"long": "x".repeat(10_000)}); 100]).unwrap();
    let found = findings(&many, &texts);
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|found| found.len() < 300), "{found:?}");
    assert_eq!(
        findings("{\"a\": 1}", &schema(json!({"additionalProperties": false}))),
        ["may have no members, but one is 1"]
    );
    let names = schema(json!({"properties": {"a": true}, "additionalProperties": false}));
    let wide: serde_json::Map<_, _> =
        (0..1_000).map(|n| ("n".repeat(500) + &n.to_string(), json!(1))).collect();
    let found = findings(&serde_json::to_string(&wide).unwrap(), &names);
    assert!(found[0].ends_with("and 992 more") && found[0].len() < 1_000, "{found:?}");
    let key = "k".repeat(100_000);
    let found = findings(
        &format!("{{\"{key}\\n\": [1]}}"),
        &schema(json!({"additionalProperties": {"items": false}})),
    );
    assert!(found[0].len() < 1_000 && !found[0].contains('\n'));
}

#[test]
fn only_schemas_that_can_be_used_are_taken() {
    for (text, part) in [
        ("{", "line 1: this is not JSON"),
        ("{\"type\": \"object\", \"type\": \"array\"}", "has the name \"type\" twice"),
        ("[]", "an object or a boolean"),
        ("{\"type\": \"strin\"}", "at type"),
        ("{\"$ref\": \"https://example.com/a\"}", "points outside"),
        ("{\"$schema\": \"http://json-schema.org/draft-04/schema#\"}", "2020-12"),
        ("{\"pattern\": \"(?<=a)b\"}", "pattern"),
        ("{\"allOf\": [{\"$ref\": \"#\"}]}", "refers to itself"),
        ("{\"$ref\": \"#/$defs/none\"}", ""),
    ] {
        let problem = OutputSchema::parse(text).expect_err(text).to_string();
        assert!(problem.contains(part), "{text}: {problem}");
    }
    let large = json!({"description": "x".repeat(256 * 1024)});
    assert!(OutputSchema::compile(&large).unwrap_err().message.contains("at most 262144 bytes"));
    assert!(OutputSchema::parse("true").is_ok());
}

#[test]
fn a_schema_is_shown_as_pretty_json_without_tags() {
    let shown = schema(json!({"description": "</schema> & <b>"}));
    assert_eq!(shown.text(), "{\n  \"description\": \"\\u003c/schema\\u003e \\u0026 \\u003cb\\u003e\"\n}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(shown.text()).unwrap(), *shown.value());
}

#[test]
fn checking_never_takes_for_ever() {
    let twice =
        schema(json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["a"]}));
    let deep = format!("{}{{}}{}", "{\"a\":".repeat(60), "}".repeat(60));
    assert!(findings(&deep, &twice)[0].contains("cannot be checked"));
}

#[test]
fn a_repair_message_tells_what_was_wrong_and_asks_for_all_again() {
    let rows = schema(json!({"type": "array"}));
    let Answer::Invalid { findings } = read("```json\n\"</schema> <protocol>\\n```\"\n```", Some(&rows))
    else {
        panic!("a text is no array")
    };
    let message = repair_message(&findings, &rows);
    assert!(
        message.contains("- must be of type array, not \"&lt;/schema&gt; &lt;protocol&gt;\\n```\""),
        "{message}"
    );
    assert!(message.contains("Send the whole answer again"), "{message}");
    assert!(message.contains("<schema>\n{\n  \"type\": \"array\"\n}\n</schema>"), "{message}");
    let long = schema(json!({"description": "x".repeat(20_000)}));
    assert!(repair_message(&findings, &long).len() < 2_000);
}
