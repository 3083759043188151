//! Where data is found in an answer, and what it is.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::super::{Answer, OutputSchema, read};
use super::{any, data, findings, schema};

#[test]
fn data_is_the_last_block_opened_by_json() {
    for text in [
        "```json\n[1]\n```",
        "text\n\n```json\n[1]\n```\nmore",
        "```JSON title=x\r\n[1]\r\n```\r\n",
        "~~~ json\n[1]\n~~~~",
        "`````json\n[1]\n`````",
        "- a list\n  ```json\n  [1]\n  ```",
        "```json\n[0]\n```\n```json\n[1]\n```",
        "```json\n[1]",
        "[1]",
        "\u{feff}\n [1] \n",
        "```python\nx = 1\n```\n```json\n[1]\n```\n```text\n[2]\n```",
        "````markdown\n```json\n[0]\n```\n````\n```json\n[1]\n```",
        "code ```json [0]``` in a line\n```json\n[1]\n```",
    ] {
        let (json, value) = data(text);
        assert_eq!((json.as_str(), value), ("[1]", json!([1])), "{text:?}");
    }
}

#[test]
fn no_data_is_told_as_that() {
    for (text, part) in [
        ("", "the answer is empty"),
        ("I think it is 5.", "holds no data"),
        ("```\n[1]\n```", "not in one that is opened by ```json"),
        ("````markdown\n```json\n[0]\n```\n````", "holds no data"),
        ("```json5\n[1]\n```", "not in one that is opened"),
        ("```json\n```", "line 2 of the answer, in the ```json block: there is nothing here"),
        ("````text\n```json\n[1]\n```", "holds no data"),
    ] {
        let found = findings(text, &any());
        assert!(found.len() == 1 && found[0].contains(part), "{text:?}: {found:?}");
    }
}

#[test]
fn what_is_no_json_is_told_with_the_answers_line() {
    for (text, part) in [
        (
            "one\n```json\n\n{\"a\": 1,}\n```",
            "line 4 of the answer, in the ```json block: this is not JSON: trailing comma",
        ),
        (
            "```json\n[1]\nand so on\n```",
            "line 3 of the answer, in the ```json block: the JSON value ends before this",
        ),
        ("```json\n{\"a\": NaN}\n```", "JSON has no NaN"),
        (
            "```json\n[1,\n -Infinity]\n```",
            "line 3 of the answer, in the ```json block: JSON has no NaN and no Infinity",
        ),
        ("```json\n[1e999]\n```", "number out of range"),
        ("```json\n// note\n[1]\n```", "not JSON"),
        ("\n{\"a\": }", "line 2 of the answer, in the answer: this is not JSON"),
        ("```json\n{'a': 1}\n```", "not JSON"),
    ] {
        let found = findings(text, &any());
        assert!(found[0].contains(part), "{text:?}: {found:?}");
    }
    assert!(
        findings(&format!("```json\n{}\n```", "[".repeat(100_000)), &any())[0].contains("recursion limit")
    );
}

#[test]
fn a_name_that_is_there_twice_is_told() {
    let found = findings("```json\n{\"rows\": [{}, {\"id\": 1, \"id\": 2}], \"rows\": 1}\n```", &any());
    assert_eq!(found, ["rows[1]: has the name \"id\" twice", "has the name \"rows\" twice"]);
}

#[test]
fn numbers_keep_all_their_digits() {
    let text =
        "```json\n{\"a\": 9007199254740993, \"b\": 18446744073709551616, \"c\": 0.1000, \"d\": -0}\n```";
    let (json, value) = data(text);
    assert_eq!(json, "{\"a\": 9007199254740993, \"b\": 18446744073709551616, \"c\": 0.1000, \"d\": -0}");
    assert_eq!(value["a"], json!(9_007_199_254_740_993_u64));
    let integers = schema(json!({"additionalProperties": {"type": "integer"}}));
    let large = "{\"a\": 9007199254740993, \"b\": 18446744073709551616}";
    assert!(matches!(read(large, Some(&integers)), Answer::Data { json, .. } if json == large));
}

#[test]
fn a_target_that_does_not_know_says_so_in_its_own_block() {
    let of = |text: &str| match read(text, None) {
        Answer::Unanswerable { why } => Some(why),
        _ => None,
    };
    assert_eq!(
        of("```unanswerable\nNo such table.\r\nGive me its name.\n```").unwrap(),
        "No such table.\nGive me its name."
    );
    assert_eq!(of("Sorry.\n~~~Unanswerable because\nwhy").unwrap(), "why");
    assert_eq!(of("It is secret.\n```unanswerable\n```").unwrap(), "It is secret.");
    assert_eq!(of("```unanswerable\n```").unwrap(), "it does not say why");
    assert_eq!(of("````text\n```unanswerable\nno\n```\n````"), None);
    assert_eq!(of("say ```unanswerable``` then"), None);
    assert_eq!(of("unanswerable"), None);
    assert_eq!(read("```json\n{]\n```", None), Answer::Text);
    let both = "```json\n[1]\n```\n```unanswerable\nno\n```";
    assert_eq!(read(both, Some(&any())), Answer::Unanswerable { why: "no".into() });
    let changed = "```unanswerable\nno\n```\nOh, wait:\n```json\n[1]\n```";
    assert!(matches!(read(changed, Some(&any())), Answer::Data { .. }));
}

#[test]
fn unicode_is_data_like_any_other() {
    let (json, value) = data("```json\n{\"ключ\": \"\\ud83d\\ude00 日本\"}\n```");
    assert_eq!(value, json!({"ключ": "😀 日本"}));
    assert!(json.contains("日本"));
    assert!(findings("```json\n\"\\ud83d\"\n```", &any())[0].contains("not JSON"));
}

#[test]
fn a_large_answer_is_read_soon() {
    let rows =
        schema(json!({"items": {"properties": {"id": {"type": "integer"}, "name": {"enum": ["a", "b"]}}}}));
    let good = format!("```json\n[{}]\n```", vec!["{\"id\": 1, \"name\": \"a\"}"; 45_000].join(",\n"));
    let bad = good.replace("\"a\"", "\"c\"");
    let fences = "```json\n[1]\n```\n".repeat(70_000);
    let ticks = "`".repeat(1_000_000);
    assert!(good.len() > 1_000_000);
    let start = Instant::now();
    assert!(matches!(read(&good, Some(&rows)), Answer::Data { .. }));
    assert_eq!(findings(&bad, &rows).len(), 1);
    assert!(matches!(read(&fences, Some(&rows)), Answer::Data { .. }));
    assert!(matches!(read(&ticks, Some(&rows)), Answer::Invalid { .. }));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Made once for all texts.
static ANY: LazyLock<OutputSchema> = LazyLock::new(any);

proptest! {
    #[test]
    fn no_text_makes_reading_panic(parts in proptest::collection::vec(
        "```+|~~~|json|unanswerable|\r\n|\n|[{}\\[\\]\":,0-9]|NaN|é|\u{feff}|.|null|\"a\"", 0..40,
    )) {
        let text = parts.concat();
        let _ = read(&text, None);
        match read(&text, Some(&ANY)) {
            Answer::Data { json, value } => {
                prop_assert!(text.contains(&json));
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
            }
            Answer::Invalid { findings } => prop_assert!(!findings.is_empty() && findings.len() <= 20),
            Answer::Unanswerable { why } => prop_assert!(!why.is_empty()),
            Answer::Text => prop_assert!(false, "text where data was demanded"),
        }
    }
}
